"""C2PA content credentials: a signature over the video, and who made it with what. Needs the extra `sign`."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.talk.provenance import Mark


def check_signing(certificate: Path, key: Path) -> None:
    """Finds out before any work whether a certificate and key can sign.

    Raises:
        UserError: if not.
    """
    _signer(certificate, key)


def sign(path: Path, certificate: Path, key: Path, mark: Mark) -> None:
    """Signs a finished video, in place.

    Args:
        path: mp4 or mov.
        certificate: PEM, the signer's certificate first and then those that vouch for it.
        key: PEM, the private key of the first.
        mark: what is said of the video.

    Raises:
        UserError: if it cannot be signed.
    """
    c2pa = _library()
    action = {
        "action": "c2pa.created",
        "digitalSourceType": mark.source_type,
        "softwareAgent": {"name": mark.tool},
        "parameters": {"description": mark.comment},
    }
    name, number = mark.tool.split()
    manifest = {
        "claim_generator_info": [{"name": name, "version": number}],
        "title": path.name.lstrip(".").replace(".partial", ""),
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }
    signed = path.with_name(f"{path.stem}.signed{path.suffix}")
    try:
        with _signer(certificate, key) as signer, c2pa.Builder(json.dumps(manifest)) as builder:
            builder.sign_file(path, signed, signer)
        signed.replace(path)
    except c2pa.C2paError as error:
        raise UserError(f"--sign {certificate}: cannot sign with it ({error})") from None
    finally:
        signed.unlink(missing_ok=True)


def credentials(path: Path) -> str:
    """Who signed a video, in one line; empty if nobody did, or the library is not installed."""
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
    try:
        return importlib.import_module("c2pa")
    except ImportError:
        raise UserError('--sign: c2pa-python is not installed; pip install "dfa-nerfstudio[sign]"') from None


def _signer(certificate: Path, key: Path) -> Any:
    c2pa = _library()
    for path in (certificate, key):
        if not path.is_file():
            raise UserError(f"--sign {path}: no such file; give a certificate chain and its private key, both PEM")
    algorithm = _algorithm(certificate, key)
    try:
        info = c2pa.C2paSignerInfo(algorithm, certificate.read_bytes(), key.read_bytes(), None)
        return c2pa.Signer.from_info(info)
    except (c2pa.C2paError, ValueError) as error:
        raise UserError(f"--sign {certificate} {key}: cannot sign with them ({error})") from None


def _algorithm(certificate: Path, key: Path) -> str:
    """The name that C2PA has for signatures with a key, which must be that of the certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # c2pa-python brings it
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        loaded = load_pem_private_key(key.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise UserError(f"--sign {key}: not a private key in PEM without a password ({error})") from None
    try:
        certified = x509.load_pem_x509_certificates(certificate.read_bytes())[0].public_key()
    except ValueError as error:
        raise UserError(f"--sign {certificate}: cannot sign with it, no certificate in PEM ({error})") from None
    if certified != loaded.public_key():
        raise UserError(f"--sign {certificate} {key}: cannot sign with them, the first certificate is of another key")
    if isinstance(loaded, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(loaded, rsa.RSAPrivateKey):
        return "ps256"
    sizes = {256: "es256", 384: "es384", 521: "es512"}
    if isinstance(loaded, ec.EllipticCurvePrivateKey) and loaded.key_size in sizes:
        return sizes[loaded.key_size]
    raise UserError(f"--sign {key}: give an ECDSA, Ed25519 or RSA key")
