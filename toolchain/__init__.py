"""Everything between an empty machine and a running pipeline: environment, tools, plugins, local cluster, `make up`.

Standard library only outside `plugins/` and `cluster/`, because it runs before any package is installed.
"""
