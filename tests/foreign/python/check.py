"""One Check over mutual TLS, as a bank or hotel without Rust would ask it.

    printf '%s\n' "$NUMBER" | check.py --target hub.example:7443 --ca ca.pem --cert bank.pem --key bank.key \
        --measure credit.lending --kind resident_id

The number comes from standard input, never from arguments: those show in the list of processes. A second line, if there
is one, is the name to confirm. The answer is one JSON object on standard output, a failure one on standard error. Exit
codes are those of `xinhub check`: 0 CLEAR, 10 RESTRICTED, 11 CONSIDER, 12 UNKNOWN, 2 wrong arguments, 20 + the gRPC code.

The stubs are generated from the project's proto files when the program starts. A service in earnest generates them
once, when it is built:  python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. proto/xinhub/v1/*.proto
"""

import argparse
import json
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import grpc
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[3] / "proto"
EXIT_CODES = {"CLEAR": 0, "RESTRICTED": 10, "CONSIDER": 11, "UNKNOWN": 12}


def stubs():
    """Generates the stubs into a directory that is gone when they are loaded."""
    with tempfile.TemporaryDirectory() as out:
        sources = [str(path.relative_to(PROTO)) for path in sorted(PROTO.glob("xinhub/v1/*.proto"))]
        includes = [f"-I{PROTO}", f"-I{files('grpc_tools') / '_proto'}"]
        if protoc.main(["protoc", *includes, f"--python_out={out}", f"--grpc_python_out={out}", *sources]) != 0:
            raise SystemExit(f"{PROTO}: the proto files don't compile")
        sys.path.insert(0, out)
        from xinhub.v1 import common_pb2, lookup_pb2, lookup_pb2_grpc
    return common_pb2, lookup_pb2, lookup_pb2_grpc


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", required=True, metavar="HOST:PORT")
    parser.add_argument("--ca", required=True, type=Path, help="PEM: who the hub's certificate may chain to")
    parser.add_argument("--cert", required=True, type=Path, help="PEM: the client's certificate")
    parser.add_argument("--key", required=True, type=Path, help="PEM: its private key")
    parser.add_argument("--measure", required=True, help="the purpose, such as credit.lending")
    parser.add_argument("--item", default="", help="where the measure has a list of them, such as star_rated")
    parser.add_argument("--kind", required=True, help="of the identity number, such as resident_id or uscc")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS", help="for connection and answer each")
    return parser.parse_args()


def connect(args):
    # The hub takes TLS 1.3 alone, and gRPC's own TLS offers it.
    credentials = grpc.ssl_channel_credentials(args.ca.read_bytes(), args.key.read_bytes(), args.cert.read_bytes())
    # Institutions often set a proxy for the whole machine; the hub is no web site.
    return grpc.secure_channel(args.target, credentials, options=[("grpc.enable_http_proxy", 0)])


def check(channel, args):
    common, lookup, lookup_grpc = stubs()
    number, name, *_ = [*sys.stdin.read().splitlines(), "", ""]
    kind = common.IdentityKind.Value(f"IDENTITY_KIND_{args.kind.upper()}")
    identity = common.Identity(kind=kind, number=number.strip())
    request = lookup.CheckRequest(
        inquiry=lookup.Inquiry(identity=identity, name=name.strip()), measure=args.measure, item=args.item
    )
    # Without a deadline a call may wait for ever.
    return lookup_grpc.LookupServiceStub(channel).Check(request, timeout=args.timeout)


def answer_of(response):
    """The answer without the prefixes of the proto names; what is not set is left out."""
    answer = MessageToDict(response.answer, preserving_proto_field_name=True)
    for field in ("verdict", "reason", "effect", "relation", "on_unknown"):
        prefix = "ANSWER_REASON_" if field == "reason" else f"{field.upper()}_"
        if field in answer:
            answer[field] = answer[field].removeprefix(prefix)
    answer["use_by"] = response.use_by.ToJsonString() if response.HasField("use_by") else None
    return answer


def error_of(call):
    """Code and message, and the reason that the hub gives for machines (google.rpc.ErrorInfo, AIP-193)."""
    error = {"code": call.code().name, "reason": None, "fields": [], "message": call.details()}
    status = rpc_status.from_call(call)
    for detail in status.details if status else ():
        info, fields = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info) and info.domain == "xinhub.v1":
            error["reason"] = info.reason.removeprefix("REASON_")
        elif detail.Unpack(fields):
            error["fields"] = [fault.field for fault in fields.field_violations]
    return error


def main():
    args = arguments()
    try:
        with connect(args) as channel:
            answer = answer_of(check(channel, args))
    except grpc.RpcError as call:
        print(json.dumps({"error": error_of(call)}, ensure_ascii=False), file=sys.stderr)
        return 20 + call.code().value[0]
    print(json.dumps(answer, ensure_ascii=False))
    # A verdict that this program doesn't know must not pass for CLEAR, nor for a restriction.
    return EXIT_CODES.get(answer["verdict"], EXIT_CODES["UNKNOWN"])


if __name__ == "__main__":
    sys.exit(main())
