"""The files that a pod has from its Secrets, made up: what the bridge opens when it checks its configuration."""

import functools
import pathlib
import secrets
import tempfile

import chart

# The keys of Secrets that helm/ci names for public keys, by the algorithm of each.
PUBLIC_KEYS = {"ES256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "RS256": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]}


@functools.cache
def certificate():
    """A certificate for localhost and 127.0.0.1 that signs itself, and its key, in PEM."""
    with tempfile.TemporaryDirectory() as folder:
        key, pem = pathlib.Path(folder, "key"), pathlib.Path(folder, "pem")
        chart.must_run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(pem),
        ])  # fmt: skip
        return pem.read_text("utf-8"), key.read_text("utf-8")


@functools.cache
def public_key(algorithm):
    private = chart.must_run(["openssl", "genpkey", "-algorithm", *PUBLIC_KEYS[algorithm]])
    return chart.must_run(["openssl", "pkey", "-pubout"], input=private)


def content(name, algorithm):
    if name in ("tls.crt", "ca.crt"):
        return certificate()[0]
    if name == "tls.key":
        return certificate()[1]
    if algorithm in PUBLIC_KEYS:
        return public_key(algorithm)
    return secrets.token_hex(32) + "\n"


def make(manifests, root):
    """Makes under `root` what the bridge's pod has under /etc/sse-bridge, as its volumes say."""
    keys = manifests.configuration.get("auth", {}).get("jwt", {}).get("keys", [])
    algorithms = {file: key["algorithm"] for key in keys for file in (key.get("secret_file"), key.get("public_key_file")) if file}
    for path in mounted(manifests.pod, lambda secret: manifests.one("Secret", secret)["data"]):
        write_new(root + path, content(path.rpartition("/")[2], algorithms.get(path)))


def make_volumes(pod, root):
    """Makes under `root` what another pod has from its volumes; what the bridge's has too is there already, and stays."""
    for path in mounted(pod, lambda secret: []):
        if not pathlib.Path(root + path).exists():
            write_new(root + path, content(path.rpartition("/")[2], None))


def mounted(pod, names_in):
    """The paths of the files that a pod has from Secrets. `names_in` says what is in a Secret of which all is mounted."""
    volumes = {volume["name"]: volume["secret"] for volume in pod["volumes"] if "secret" in volume}
    for mount in pod["containers"][0]["volumeMounts"]:
        if mount["name"] in volumes:
            secret = volumes[mount["name"]]
            items = secret.get("items")
            for name in [item["path"] for item in items] if items else names_in(secret["secretName"]):
                yield f"{mount['mountPath']}/{name}"


def write_new(path, text):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(text, "utf-8")
