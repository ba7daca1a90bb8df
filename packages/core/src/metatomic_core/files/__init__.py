"""What is written and read: archives, the header of a model file, extensions and their libraries, files of systems."""
