-- How soon each credential may fire the next pass over HTTP, counted for all instances together. The key is a part
-- of a digest: enough to tell credentials apart, too little to guess one by.
CREATE TABLE IF NOT EXISTS booking_automation_callers (
    credential text PRIMARY KEY,
    next_at    timestamptz NOT NULL -- when all that it has used up will have come back
);
SELECT booking_automation_make_private('booking_automation_callers');
