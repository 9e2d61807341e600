"""Verifies assertions (JSON Web Tokens) as a token endpoint does, by PyJWT, at the present time.

Reads {"key": the account's private key in PEM, "issuer": …, "audience": …, "assertions": […]} and writes, for each assertion,
its header and claims, or why it is refused.
"""

import json
import sys

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

asked = json.load(sys.stdin)
public = load_pem_private_key(asked["key"].encode(), None).public_key()


def verified(assertion):
    try:
        claims = jwt.decode(
            assertion,
            public,
            algorithms=["RS256"],
            issuer=asked["issuer"],
            audience=asked["audience"],
            options={"require": ["iss", "aud", "iat", "exp"]},
        )
    except jwt.InvalidTokenError as error:
        return {"refused": type(error).__name__}
    return {"header": jwt.get_unverified_header(assertion), "claims": claims}


json.dump([verified(assertion) for assertion in asked["assertions"]], sys.stdout)
