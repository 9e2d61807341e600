// What html-validate, the data of caniemail.com and linkify-it say of mails. Reads [{name, html, text}] and writes one line for
// each problem. The argument is the folder in which they are installed.

import { createRequire } from "node:module";
import { text as read } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const { resolve } = createRequire(pathToFileURL(`${process.argv[2]}/package.json`));
const load = (name) => import(pathToFileURL(resolve(name)));
const { caniemail } = await load("caniemail");
const { HtmlValidate, StaticConfigLoader } = await load("html-validate");
const { default: LinkifyIt } = await load("linkify-it");

const validator = new HtmlValidate(
  new StaticConfigLoader({
    extends: ["html-validate:recommended"],
    rules: {
      // Gmail and Outlook drop or ignore style sheets: each element has its style.
      "no-inline-style": "off",
      // The title is the subject.
      "long-title": "off",
      // Older screen readers do not know the role `none`.
      "presentation-role-style": "off",
    },
  }),
);

// The readers with nearly all of the market, and what they lack of the layout, with what then happens.
const CLIENTS = ["gmail.*", "outlook.*", "apple-mail.*"];
const HARMLESS = new Map([
  ["color-scheme meta tag", "the reader darkens a mail in its own way, or not at all"],
  ["color-scheme CSS property", "the same"],
  ["@media", "the same"],
  ["<style> element", "the same: it has nothing but the dark colours"],
  ["<body> element", "the first <div> has the same style"],
  ["display:none", "the preheader is a line one pixel high, in the colour of the background"],
  ["border-radius", "corners are square"],
  ["border-spacing", "two pixels lie between cells"],
  ["word-break", "a long word makes the text wider"],
  ["max-width", "the text is as wide as the window"],
  ["role attribute", "a screen reader names a table"],
]);

const problems = new Set();
const linkify = new LinkifyIt({}, { fuzzyLink: true, fuzzyEmail: true, fuzzyIP: true });

for (const { name, html, text } of JSON.parse(await read(process.stdin))) {
  for (const result of (await validator.validateString(html)).results) {
    for (const { ruleId, message, line } of result.messages) problems.add(`${name}: html-validate ${ruleId}: ${message} (${line})`);
  }
  for (const [client, found] of caniemail({ clients: CLIENTS, html }).issues.errors) {
    for (const { title } of found) {
      if (!HARMLESS.has(title)) problems.add(`${name}: caniemail: ${client} lacks ${title}`);
    }
  }
  const shown = html.replace(/<style>[^]*?<\/style>|<[^>]*>/g, "\n").replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(code));
  for (const part of [text, shown]) {
    for (const { raw } of linkify.match(part) ?? []) {
      if (!raw.startsWith("https://studio.example/")) problems.add(`${name}: a link to ${raw}`);
    }
  }
}
for (const problem of problems) console.log(problem);
