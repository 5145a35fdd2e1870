# placeholder until vision.draw lands
def draw(image, faces, labels): raise NotImplementedError
def save(image, path): raise NotImplementedError
