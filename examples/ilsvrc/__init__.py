"""Modules of the example on ImageNet (the ILSVRC data), beside those in `paper`.

data        an ImageFolder tree: its images, broken images, the order of batches
networks    torchvision's networks with their inputs, losses and optimizers
plans       policies to compare, their network, their number of updates
task        the data and the network, ready to train

Each module imports only modules above it.
"""
