// What html-validate says of the pages of links. Reads [{name, html}] and writes one line for each problem. The argument is the
// folder in which it is installed.

import { createRequire } from "node:module";
import { text as read } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const { resolve } = createRequire(pathToFileURL(`${process.argv[2]}/package.json`));
const { HtmlValidate, StaticConfigLoader } = await import(pathToFileURL(resolve("html-validate")));
const validator = new HtmlValidate(new StaticConfigLoader({ extends: ["html-validate:recommended"] }));

for (const { name, html } of JSON.parse(await read(process.stdin))) {
  for (const result of (await validator.validateString(html)).results) {
    for (const { ruleId, message, line } of result.messages) console.log(`${name}: ${ruleId}: ${message} (${line})`);
  }
}
