"""The manifests: rendered by kustomize, and each object against its schema, in which no unknown field is allowed."""

import json
import pathlib
import subprocess

import jsonschema
import kubernetes_validate
import yaml

# The oldest version that has all that is used here, and the newest whose schemas there are.
KUBERNETES = ("1.31", "1.37")
# Where the schemas of custom resources come from: a Go module, and the files in it.
CUSTOM = {
    "istio.io/api@v1.31.4": "kubernetes/customresourcedefinitions.gen.yaml",
    "sigs.k8s.io/gateway-api@v1.6.3": "config/crd/standard/*.yaml",
}
# Linkerd publishes its own only in its Helm charts.
WITHOUT_SCHEMA = "policy.linkerd.io"


def closed(schema):
    """The same schema, in which an object has no other fields than those that it names."""
    if "properties" in schema:
        schema["properties"] = {name: closed(field) for name, field in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            schema[inner] = closed(schema[inner])
    return schema


def custom_schemas():
    """The schema of each kind: by group and version, and kind."""
    schemas = {}
    for module, files in CUSTOM.items():
        said = subprocess.run(["go", "mod", "download", "-json", module], check=True, capture_output=True)
        for file in pathlib.Path(json.loads(said.stdout)["Dir"]).glob(files):
            for crd in yaml.safe_load_all(file.read_text()):
                if not crd or crd["kind"] != "CustomResourceDefinition":
                    continue
                spec = crd["spec"]
                for version in spec["versions"]:
                    schema = version["schema"]["openAPIV3Schema"]
                    for field in ("apiVersion", "kind", "metadata"):
                        schema["properties"][field] = {}
                    schemas[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = closed(schema)
    return schemas


def check(kubernetes, overlays):
    """Leaves the objects of each overlay in `overlays`."""
    custom = custom_schemas()
    valid = unknown = 0
    for folder in sorted({file.parent for file in kubernetes.rglob("kustomization.yaml")}):
        rendered = subprocess.run(["kustomize", "build", folder], capture_output=True, text=True)
        assert rendered.returncode == 0, rendered.stderr
        overlays[folder.name] = list(yaml.safe_load_all(rendered.stdout))
        for item in overlays[folder.name]:
            version, kind = item["apiVersion"], item["kind"]
            where = f"{folder.name}: {kind} {item['metadata']['name']}"
            assert "namespace" not in item["metadata"], f"{where}: names a namespace"
            if version.startswith(WITHOUT_SCHEMA):
                unknown += 1
                continue
            valid += 1
            try:
                if schema := custom.get((version, kind)):
                    jsonschema.validate(item, schema)
                else:
                    for release in KUBERNETES:
                        kubernetes_validate.validate(item, release, strict=True)
            except (jsonschema.ValidationError, kubernetes_validate.SchemaNotFoundError) as wrong:
                raise AssertionError(f"{where}: {wrong.message}") from wrong
    return f"{len(overlays)} overlays, {valid} objects valid, {unknown} of Linkerd's without a schema"
