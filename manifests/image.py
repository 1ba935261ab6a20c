#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""image.py OUT.tar NAME:TAG ARCH=FOLDER…: an OCI image as one archive, without a container engine.

Each FOLDER holds the root file system for an architecture (amd64, arm64) and becomes an image of one layer; an index
names them all. Labels, user and entrypoint are read from Dockerfile.scratch, so that both ways give the same image.
The archive is read by `ctr images import`, `podman load`, `skopeo copy oci-archive:…`, `docker load` and kind. The same
input gives the same bytes: entries are sorted, times are 0, owners are root, the layer is not compressed.

Layout and media types: OCI Image Format Specification 1.1 (image-layout, index, manifest, config, layer).
"""
import hashlib
import io
import json
import os
import re
import sys
import tarfile

TYPE = "application/vnd.oci.image."
EPOCH = "1970-01-01T00:00:00Z"


def entry(tar, name, mode, data=None):
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = mode, 0
    if data is None:
        info.type = tarfile.DIRTYPE
    else:
        info.size = len(data)
    tar.addfile(info, io.BytesIO(data) if data is not None else None)


def layer_of(folder):
    """The folder as a tar: directories 0755, files 0755 or 0444, all of root."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for base, folders, files in os.walk(folder):
            folders.sort()
            place = os.path.relpath(base, folder)
            if place != ".":
                entry(tar, place, 0o755)
            for name in sorted(files):
                path = os.path.join(base, name)
                with open(path, "rb") as f:
                    entry(tar, os.path.normpath(os.path.join(place, name)), 0o755 if os.access(path, os.X_OK) else 0o444, f.read())
    return out.getvalue()


def dockerfile(path, version):
    """USER, ENTRYPOINT and LABEL of a Dockerfile whose instructions stand on one line each."""
    said = {"labels": {}}
    with open(path, encoding="utf-8") as f:
        for line in f:
            word, _, rest = line.strip().partition(" ")
            if word == "USER":
                said["user"] = rest
            elif word == "ENTRYPOINT":
                said["entrypoint"] = json.loads(rest)
            elif word == "LABEL":
                key, value = re.fullmatch(r'(\S+?)="(.*)"', rest).groups()
                said["labels"][key] = value.replace("$VERSION", version)
    return said


class Blobs:
    def __init__(self):
        self.by_digest = {}

    def add(self, data):
        digest = hashlib.sha256(data).hexdigest()
        self.by_digest[digest] = data
        return digest

    def descriptor(self, data, kind, **more):
        return {"mediaType": TYPE + kind, "digest": "sha256:" + self.add(data), "size": len(data), **more}


def dump(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def image(blobs, arch, folder, said):
    """The manifest of one architecture, as a descriptor, and what docker's own list says of it."""
    layer = blobs.descriptor(layer_of(folder), "layer.v1.tar")
    config = blobs.descriptor(dump({
        "architecture": arch, "os": "linux", "created": EPOCH,
        "config": {"User": said["user"], "Entrypoint": said["entrypoint"], "Labels": said["labels"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        "history": [{"created": EPOCH, "created_by": "kruntimes make image"}]}), "config.v1+json")
    manifest = dump({"schemaVersion": 2, "mediaType": TYPE + "manifest.v1+json", "config": config, "layers": [layer],
                     "annotations": said["labels"]})
    platform = {"architecture": arch, "os": "linux"}
    if arch == "arm64":
        platform["variant"] = "v8"
    legacy = {"Config": "blobs/sha256/" + config["digest"][7:], "Layers": ["blobs/sha256/" + layer["digest"][7:]]}
    return blobs.descriptor(manifest, "manifest.v1+json", platform=platform), legacy


def main(out, name, *folders):
    repository, _, tag = name.rpartition(":")
    if not repository or "/" in tag:
        sys.exit("image.py: \"%s\" is not NAME:TAG" % name)
    said = dockerfile(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Dockerfile.scratch"), tag)
    blobs, manifests, legacy = Blobs(), [], None
    for item in folders:
        arch, _, folder = item.partition("=")
        manifest, old = image(blobs, arch, folder, said)
        manifests.append(manifest)
        legacy = legacy or dict(old, RepoTags=[name])          # docker's list has room for one: the first
    index = blobs.descriptor(dump({"schemaVersion": 2, "mediaType": TYPE + "index.v1+json", "manifests": manifests}), "index.v1+json",
                             annotations={"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag})
    with tarfile.open(out + ".new", "w", format=tarfile.USTAR_FORMAT) as tar:
        entry(tar, "oci-layout", 0o644, dump({"imageLayoutVersion": "1.0.0"}))
        entry(tar, "index.json", 0o644, dump({"schemaVersion": 2, "mediaType": TYPE + "index.v1+json", "manifests": [index]}))
        entry(tar, "manifest.json", 0o644, dump([legacy]))
        for place in ("blobs", "blobs/sha256"):
            entry(tar, place, 0o755)
        for digest in sorted(blobs.by_digest):
            entry(tar, "blobs/sha256/" + digest, 0o644, blobs.by_digest[digest])
    os.rename(out + ".new", out)
    print("%s: %s, %s, %d bytes, %s" % (out, name, " ".join(i.partition("=")[0] for i in folders), os.path.getsize(out), index["digest"]))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
