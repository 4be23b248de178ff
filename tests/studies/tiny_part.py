"""Settings of a part of a reproduction that takes a second: digits, few images, one epoch."""

TINY = (
    "data={name: digits, train_images: 200}",
    "student={kernels: 2, kernel_size: 3, pooled_size: 2, hidden: []}",
    "teacher.training={epochs: 1}",
    "training.epochs=1",
)
