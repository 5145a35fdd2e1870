// SPDX-License-Identifier: Apache-2.0
// Enrols, searches and pages with the AWS SDK for JavaScript v3, and prints what came back as JSON.
// Arguments: a picture of one person, another of the same, one without a face. Endpoint and keys: AWS_* variables.

import { readFileSync } from "node:fs";
import {
  AccessDeniedException,
  CreateCollectionCommand,
  CreateUserCommand,
  DeleteCollectionCommand,
  DetectFacesCommand,
  DetectLabelsCommand,
  IndexFacesCommand,
  InvalidParameterException,
  ListCollectionsCommand,
  RekognitionClient,
  ResourceAlreadyExistsException,
  ResourceNotFoundException,
  SearchFacesByImageCommand,
  paginateListFaces,
} from "@aws-sdk/client-rekognition";

const [one, again, nobody] = process.argv.slice(2, 5).map((path) => readFileSync(path));
const client = new RekognitionClient({ endpoint: process.env.AWS_ENDPOINT_URL_REKOGNITION });
const CollectionId = "javascript";
const told = { errors: {} };

async function refusal(name, command, type) {
  try {
    await client.send(command);
    told.errors[name] = "none";
  } catch (error) {
    told.errors[name] = {
      typed: error instanceof type,
      name: error.name,
      message: error.message,
      status: error.$metadata?.httpStatusCode,
      attempts: error.$metadata?.attempts,
      requestId: error.$metadata?.requestId,
    };
  }
}

const created = await client.send(new CreateCollectionCommand({ CollectionId }));
told.statusCode = created.StatusCode;

const labels = ["a", "b", "c"];
for (const ExternalImageId of labels) {
  await client.send(new IndexFacesCommand({ CollectionId, ExternalImageId, Image: { Bytes: one } }));
}
const found = await client.send(new SearchFacesByImageCommand({ CollectionId, Image: { Bytes: again } }));
told.matches = found.FaceMatches.map((match) => [match.Face.ExternalImageId, match.Similarity]);
told.details = (await client.send(new DetectFacesCommand({ Image: { Bytes: one }, Attributes: ["ALL"] }))).FaceDetails;

told.pages = [];
for await (const page of paginateListFaces({ client, pageSize: 2 }, { CollectionId })) {
  told.pages.push(page.Faces.map((face) => face.ExternalImageId));
}

// Signed alike within one second, and meant: the SDK signs an id of its own for each.
told.together = (await Promise.all([1, 2, 3, 4].map(() => client.send(new ListCollectionsCommand({}))))).length;
told.user = (await client.send(new CreateUserCommand({ CollectionId, UserId: "ann" }))).$metadata.httpStatusCode;

await refusal("exists", new CreateCollectionCommand({ CollectionId }), ResourceAlreadyExistsException);
await refusal("missing", new DeleteCollectionCommand({ CollectionId: "nowhere" }), ResourceNotFoundException);
await refusal("noFace", new SearchFacesByImageCommand({ CollectionId, Image: { Bytes: nobody } }), InvalidParameterException);
await refusal("notOffered", new DetectLabelsCommand({ Image: { Bytes: one } }), AccessDeniedException);
await refusal("validation", new CreateCollectionCommand({ CollectionId: "../x" }), Error);

// A clock that is an hour slow is refused once; the SDK then sets itself by the answer's Date.
const skewed = new RekognitionClient({
  endpoint: process.env.AWS_ENDPOINT_URL_REKOGNITION,
  systemClockOffset: -3_600_000,
});
told.skewed = (await skewed.send(new ListCollectionsCommand({}))).$metadata.attempts;

await client.send(new DeleteCollectionCommand({ CollectionId }));
console.log(JSON.stringify(told));
