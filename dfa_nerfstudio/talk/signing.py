"""Signs videos with C2PA content credentials, and reads them. Signing needs the extra `sign`."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.talk.provenance import Provenance


def check_signing(certificate: Path, key: Path) -> None:
    """Checks that a certificate chain and key can sign, so that rendering does not start in vain.

    Raises:
        UserError: if they cannot.
    """
    _signer(certificate, key)


def sign(path: Path, certificate: Path, key: Path, provenance: Provenance) -> None:
    """Signs a complete video file in place.

    Args:
        path: mp4 or mov.
        certificate: certificate chain in PEM, the signer's certificate first.
        key: private key of the signer's certificate, in PEM.
        provenance: origin of the video.

    Raises:
        UserError: if it cannot be signed.
    """
    c2pa = _library()
    action = {
        "action": "c2pa.created",
        "digitalSourceType": provenance.source_type,
        "softwareAgent": {"name": provenance.tool},
        "parameters": {"description": provenance.comment},
    }
    name, version = provenance.tool.split()
    manifest = {
        "claim_generator_info": [{"name": name, "version": version}],
        "title": path.name.lstrip(".").replace(".partial", ""),
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }
    signed = path.with_name(f"{path.stem}.signed{path.suffix}")
    try:
        with _signer(certificate, key) as signer, c2pa.Builder(json.dumps(manifest)) as builder:
            builder.sign_file(path, signed, signer)
        signed.replace(path)
    except c2pa.C2paError as error:
        raise UserError(f"`sign={certificate} {key}`: cannot sign with them ({error})") from None
    finally:
        signed.unlink(missing_ok=True)


def read_credentials(path: Path) -> str:
    """Returns a video's signer and validation state in one line; empty if it is unsigned or c2pa is not installed."""
    try:
        c2pa = importlib.import_module("c2pa")
    except ImportError:
        return ""
    try:
        with c2pa.Reader(path) as reader:
            manifest = reader.get_active_manifest() or {}
            signature = manifest.get("signature_info", {})
            state = str(reader.get_validation_state())
    except c2pa.C2paError:
        return ""
    return f"signed by {signature.get('issuer', 'unknown')} ({signature.get('alg', '')}), {state.lower()}"


def _library() -> Any:
    """Imports c2pa.

    Raises:
        UserError: if it is not installed.
    """
    try:
        return importlib.import_module("c2pa")
    except ImportError:
        raise UserError('`sign`: c2pa-python is not installed; run pip install "dfa-nerfstudio[sign]"') from None


def _signer(certificate: Path, key: Path) -> Any:
    """Returns a c2pa signer.

    Raises:
        UserError: if certificate and key cannot sign.
    """
    c2pa = _library()
    for path in (certificate, key):
        if not path.is_file():
            raise UserError(f"`sign`: {path}: no such file; give a certificate chain and its private key, both PEM")
    algorithm = _algorithm(certificate, key)
    try:
        info = c2pa.C2paSignerInfo(algorithm, certificate.read_bytes(), key.read_bytes(), None)
        return c2pa.Signer.from_info(info)
    except (c2pa.C2paError, ValueError) as error:
        raise UserError(f"`sign={certificate} {key}`: cannot sign with them ({error})") from None


def _algorithm(certificate: Path, key: Path) -> str:
    """Returns C2PA's name of the signature algorithm for a key.

    Raises:
        UserError: if the key or certificate is not valid PEM, they do not match, or C2PA has no algorithm for the key.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # a dependency of c2pa-python
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        loaded = load_pem_private_key(key.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise UserError(f"`sign`: {key}: not a private key in PEM without a password ({error})") from None
    try:
        certified = x509.load_pem_x509_certificates(certificate.read_bytes())[0].public_key()
    except ValueError as error:
        raise UserError(f"`sign`: {certificate}: cannot sign with it, no certificate in PEM ({error})") from None
    if certified != loaded.public_key():
        raise UserError(f"`sign={certificate} {key}`: cannot sign with them, the first certificate is of another key")
    if isinstance(loaded, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(loaded, rsa.RSAPrivateKey):
        return "ps256"
    sizes = {256: "es256", 384: "es384", 521: "es512"}
    if isinstance(loaded, ec.EllipticCurvePrivateKey) and loaded.key_size in sizes:
        return sizes[loaded.key_size]
    raise UserError(f"`sign`: {key}: give an ECDSA (P-256, P-384, P-521), Ed25519 or RSA key")
