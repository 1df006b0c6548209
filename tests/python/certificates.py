"""Certificates of a test, made by `openssl` 3."""

import hashlib
import re
import ssl
import subprocess
from dataclasses import dataclass

import grpc


@dataclass(frozen=True)
class Certificate:
    """What it says: the names, and the subject's common name."""

    uris: tuple = ()
    dns: tuple = ()
    common_name: str = ""

    def subject(self):
        """As openssl takes it, which has a meaning of its own for some characters."""
        return "/" + self.distinguished_name(r"[\\/+]")

    def subject_seen(self):
        """As Envoy writes it: RFC 2253, section 2.4."""
        return self.distinguished_name(r'[,+"\\<>;]')

    def distinguished_name(self, special):
        return self.common_name and "CN=" + re.sub(special, r"\\\g<0>", self.common_name)


class Authority:
    """Makes certificates, as PEM files in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.file = folder / "authority.pem"
        self.issue("authority", Certificate((), (), "authority"), "basicConstraints=critical,CA:TRUE")

    def issue(self, name, certificate, *extensions, addresses=()):
        """The files of a new certificate and its key."""
        file, key, config = (self.folder / f"{name}.{ending}" for ending in ("pem", "key", "conf"))
        kinds = [("URI", certificate.uris), ("DNS", certificate.dns), ("IP", addresses)]
        names = [f"{kind}.{n}={value}" for kind, values in kinds for n, value in enumerate(values)]
        extensions = [*extensions, *(["subjectAltName=@names"] if names else [])]
        # A file for each: openssl takes the commas of `-addext` for its own.
        sections = ["[req]", "distinguished_name=dn", "[dn]", "[ext]", *extensions, "[names]", *names]
        config.write_text("\n".join(sections))
        command = ["openssl", "req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
        command += ["-config", config, "-extensions", "ext", "-subj", certificate.subject(), "-days", "1"]
        command += ["-out", file, "-keyout", key]
        if file != self.file:
            command += ["-CA", self.file, "-CAkey", self.file.with_suffix(".key")]
        made = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        return file, key

    def credentials(self, *files, server=None):
        """What a channel needs to show this certificate; the server's must be of `server`."""
        chain, key = (file.read_bytes() for file in files) if files else (None, None)
        return grpc.ssl_channel_credentials((server or self).file.read_bytes(), key, chain)


def digest(file):
    """SHA-256 of the certificate in the file."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read_text())).hexdigest()
