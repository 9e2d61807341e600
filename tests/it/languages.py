"""Dates, times, plural forms, and the names that Windows has for time zones, as CLDR has them, by Babel.

Reads {"tags": […], "times": [ISO …]} and writes, for each tag, its direction, its plural categories of the whole numbers
to 2000, and of each time the full date, the short date and the time of day; as "zones", the names of some time zones. As "windows", the zone of each name.
"""

import json
import sys
from datetime import datetime

from babel import Locale, dates
from babel.core import get_global

# Where the clocks change, and where they do not.
GENERAL = ("Europe/Vienna", "Europe/London", "Europe/Dublin", "Europe/Kyiv", "America/New_York", "Australia/Sydney")
STANDARD = ("Asia/Tokyo", "Asia/Kolkata", "America/Phoenix", "Europe/Istanbul", "America/Sao_Paulo", "Africa/Accra")


def zone_name(zone, variant, locale):
    return dates.get_timezone_name(zone, "long", locale=locale, zone_variant=variant)


asked = json.load(sys.stdin)
answer = {"windows": dict(get_global("windows_zone_mapping"))}
for tag in asked["tags"]:
    locale = Locale.parse(tag, sep="-")
    written = []
    for time in map(datetime.fromisoformat, asked["times"]):
        written.append(
            {
                "date": dates.format_date(time, "full", locale),
                "short": dates.format_skeleton("MMMEd", time, locale=locale),
                "time": dates.format_time(time, "short", locale=locale),
            }
        )
    categories = sorted({locale.plural_form(number) for number in range(2001)})
    zones = {zone: zone_name(zone, "generic", locale) for zone in GENERAL}
    zones |= {zone: zone_name(zone, "standard", locale) for zone in STANDARD}
    answer[tag] = {"direction": locale.text_direction, "categories": categories, "written": written, "zones": zones}
json.dump(answer, sys.stdout)
