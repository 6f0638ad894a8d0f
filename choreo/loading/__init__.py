"""From what was imported, and what is committed, to manifests: the reading that verify itself may not do.

Sources are read to look at the bodies of handlers, schema files and git revisions for earlier versions of
events. Nothing is imported here.
"""

from choreo.loading.manifests import compare, manifest_from
from choreo.loading.sources import named, seen_of
from choreo.loading.versions import kept, of_revision, remembered

__all__ = ["compare", "kept", "manifest_from", "named", "of_revision", "remembered", "seen_of"]
