// One Check over mutual TLS, as a bank or hotel without Rust would ask it.
//
//     printf '%s\n' "$NUMBER" | node check.mjs --target hub.example:7443 --ca ca.pem --cert bank.pem --key bank.key \
//         --measure credit.lending --kind resident_id
//
// The number comes from standard input, never from arguments: those show in the list of processes. A second line, if
// there is one, is the name to confirm. The answer is one JSON object on standard output, a failure one on standard
// error. Exit codes are those of `xinhub check`: 0 CLEAR, 10 RESTRICTED, 11 CONSIDER, 12 UNKNOWN, 2 wrong arguments,
// 20 + the gRPC code.
//
// Packages are looked for in the directory named by XINHUB_TEST_NODE, or in target/test-node, where tests/setup.sh
// puts them; elsewhere one would just import them.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { createSecureContext } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const packages = createRequire(path.resolve(process.env.XINHUB_TEST_NODE ?? path.join(root, 'target/test-node'), 'package.json'));
const grpc = packages('@grpc/grpc-js');
const protoLoader = packages('@grpc/proto-loader');
const protobuf = packages('protobufjs');

const EXIT_CODES = { CLEAR: 0, RESTRICTED: 10, CONSIDER: 11, UNKNOWN: 12 };

/** As in google/rpc/status.proto and error_details.proto: what the hub tells machines of a failure (AIP-193). */
const rpc = protobuf.parse(`
  syntax = "proto3";
  package google.rpc;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; }
  message BadRequest {
    message FieldViolation { string field = 1; string description = 2; }
    repeated FieldViolation field_violations = 1;
  }`, { keepCase: true }).root;

function readArguments() {
  const text = { type: 'string' };
  const { values } = parseArgs({
    options: { target: text, ca: text, cert: text, key: text, measure: text, item: text, kind: text, timeout: text },
  });
  for (const name of ['target', 'ca', 'cert', 'key', 'measure', 'kind']) {
    if (values[name] === undefined) throw new TypeError(`--${name} is required`);
  }
  return { item: '', timeout: '5', ...values };
}

function connect(args) {
  const secureContext = createSecureContext({
    ca: readFileSync(args.ca),
    cert: readFileSync(args.cert),
    key: readFileSync(args.key),
    minVersion: 'TLSv1.3', // the hub takes nothing older
  });
  const definition = protoLoader.loadSync(['xinhub/v1/lookup.proto'], {
    includeDirs: [path.join(root, 'proto')],
    keepCase: true,
    longs: String, // 64 bits don't fit a number
    enums: String,
  });
  const { LookupService } = grpc.loadPackageDefinition(definition).xinhub.v1;
  const credentials = grpc.credentials.createFromSecureContext(secureContext);
  // Institutions often set a proxy for the whole machine; the hub is no web site.
  return new LookupService(args.target, credentials, { 'grpc.enable_http_proxy': 0 });
}

function check(hub, args) {
  const [number = '', name = ''] = readFileSync(0, 'utf8').split(/\r?\n/);
  const request = {
    inquiry: { identity: { kind: `IDENTITY_KIND_${args.kind.toUpperCase()}`, number: number.trim() }, name: name.trim() },
    measure: args.measure,
    item: args.item,
  };
  // Without a deadline a call may wait for ever.
  const deadline = new Date(Date.now() + Number(args.timeout) * 1000);
  return new Promise((resolve, reject) => {
    hub.Check(request, { deadline }, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

/** The answer without the prefixes of the proto names; what is not set is left out. */
function answerOf({ answer, use_by: useBy }) {
  const told = { ...answer };
  for (const field of ['verdict', 'reason', 'effect', 'relation', 'on_unknown']) {
    const prefix = field === 'reason' ? 'ANSWER_REASON_' : `${field.toUpperCase()}_`;
    if (field in told) told[field] = told[field].replace(prefix, '');
  }
  return { ...told, use_by: useBy ? new Date(Number(useBy.seconds) * 1000 + useBy.nanos / 1e6).toISOString() : null };
}

/** Code and message, and the reason that the hub gives for machines. */
function errorOf(failure) {
  const error = { code: grpc.status[failure.code], reason: null, fields: [], message: failure.details };
  const [status] = failure.metadata?.get('grpc-status-details-bin') ?? [];
  for (const { type_url: type, value } of status ? rpc.lookupType('Status').decode(status).details : []) {
    if (type.endsWith('/google.rpc.ErrorInfo')) {
      const info = rpc.lookupType('ErrorInfo').decode(value);
      if (info.domain === 'xinhub.v1') error.reason = info.reason.replace('REASON_', '');
    } else if (type.endsWith('/google.rpc.BadRequest')) {
      error.fields = rpc.lookupType('BadRequest').decode(value).field_violations.map(({ field }) => field);
    }
  }
  return error;
}

async function main() {
  let args;
  try {
    args = readArguments();
  } catch (error) {
    console.error(`check.mjs: ${error.message}`);
    return 2;
  }
  const hub = connect(args);
  try {
    const answer = answerOf(await check(hub, args));
    console.log(JSON.stringify(answer));
    // A verdict that this program doesn't know must not pass for CLEAR, nor for a restriction.
    return EXIT_CODES[answer.verdict] ?? EXIT_CODES.UNKNOWN;
  } catch (failure) {
    console.error(JSON.stringify({ error: errorOf(failure) }));
    return 20 + failure.code;
  } finally {
    hub.close();
  }
}

process.exitCode = await main();
