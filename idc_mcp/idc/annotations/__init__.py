"""What was made from images, and the images that something was made from."""
