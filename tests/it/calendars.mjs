// Reads calendars with ical.js, in strict mode, and prints what it found, as JSON. Reads a list of texts. The argument is the
// folder in which it is installed.

import { createRequire } from "node:module";
import { text as read } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const { resolve } = createRequire(pathToFileURL(`${process.argv[2]}/package.json`));
const { default: ICAL } = await import(pathToFileURL(resolve("ical.js")));
ICAL.design.strict = true;

const found = JSON.parse(await read(process.stdin)).map((text) => {
  const calendar = new ICAL.Component(ICAL.parse(text));
  const components = calendar.getAllSubcomponents("vevent");
  const event = new ICAL.Event(components[0]);
  const iso = (time) => time.toJSDate().toISOString();
  return {
    method: calendar.getFirstPropertyValue("method"),
    events: components.length,
    uid: event.uid,
    sequence: event.sequence,
    stamp: iso(event.component.getFirstPropertyValue("dtstamp")),
    start: iso(event.startDate),
    end: iso(event.endDate),
    summary: event.summary,
    description: event.description,
    location: event.location,
    organizer: event.organizer,
    all: components.map((one) => ({
      uid: one.getFirstPropertyValue("uid"),
      status: one.getFirstPropertyValue("status"),
      sequence: one.getFirstPropertyValue("sequence"),
    })),
    attendees: event.attendees.map((attendee) => attendee.getFirstValue()),
  };
});
console.log(JSON.stringify(found));
