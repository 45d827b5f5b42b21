"""Hashed static names that also hold inside ES modules."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ModuleManifestStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Rewrites `import … from "./x.js"` to the hashed name, so that modules can be cached for good."""

    support_js_module_import_aggregation = True
