"""Two Pulumi plugins for machines that cannot have the official ones: the Python language host and `docker.Image`."""
