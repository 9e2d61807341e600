"""Signs requests to AWS again, by the signer of AWS's own SDK for Python (botocore), and prints each `Authorization` header.

Reads {"key_id": …, "secret": …, "region": …, "requests": [{"service": …, "method": …, "path": …, "headers": {…}, "body":
base64}]}. Each request is signed at the time of its `x-amz-date`, with the headers that its own signature covers.
"""

import base64
import json
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

asked = json.load(sys.stdin)


def signed(one):
    headers = one["headers"]
    parts = dict(part.split("=", 1) for part in headers["authorization"].split(" ", 1)[1].split(", "))
    covered = {name: headers[name] for name in parts["SignedHeaders"].split(";")}
    url = f"http://{headers['host']}{one['path']}"
    request = AWSRequest(one["method"], url, covered, base64.b64decode(one["body"]))
    # Its own `add_auth` takes the present time.
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(asked["key_id"], asked["secret"]), one["service"], asked["region"])
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))
    return request.headers["Authorization"]


json.dump([signed(one) for one in asked["requests"]], sys.stdout)
