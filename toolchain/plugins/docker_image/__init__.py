"""The resource `docker:index/image:Image` as the official plugin defines it: inputs, build context, engine, schema."""
