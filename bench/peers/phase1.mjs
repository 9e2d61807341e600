// The naive pass: select what is due; per booking one UPDATE and one audit INSERT (reminders: one
// SendEmail before them). PHASE1_CONCURRENCY > 1 handles that many bookings concurrently (Promise.all
// over lanes), which is the usual first step up from the plain `for … await` loop.
import { EVENTS, SQL, dueSql, env, int, main, median, named, once, openDb, openMail, round, transitionData, versionOf } from './common.mjs'

const conc = int('PHASE1_CONCURRENCY', 1)
const dbMode = env('PEER_DB', 'pool')
const dbConns = int('PEER_DB_CONNECTIONS', Math.min(conc, 20))

main({
  name: 'phase1',
  version: versionOf('pg'),
  settings: () => ({ concurrency: conc, dbMode, dbConns }),
  prepare: async (kind) => (await once(`SELECT count(*)::int AS n FROM (${dueSql(kind)}) d`))[0].n,
  async idle() {
    const db = await openDb(1)
    const ms = []
    let found = 0
    const until = Date.now() + 5000
    for (let i = 0; i < 200 && Date.now() < until; i++) {
      const t = process.hrtime.bigint()
      found += (await db.query(named('dueTransitions'))).rows.length
      found += (await db.query(named('dueReminders'))).rows.length
      ms.push(Number(process.hrtime.bigint() - t) / 1e6)
    }
    return { idle_ms_median: round(median(ms)), idle_ms_first: round(ms[0]), polls: ms.length, found, method: 'both selects of a pass that finds nothing' }
  },
  async open(kind) {
    const db = await openDb(dbConns, dbMode)
    const mail = kind === 'reminders' ? await openMail(Math.max(50, conc)) : null
    return {
      pending: async () => (await once(`SELECT count(*)::int AS n FROM (${dueSql(kind)}) d`))[0].n,
      async start(onDone) {
        const { rows } = await db.query({ text: dueSql(kind) })
        let next = 0
        const lane = async () => {
          while (next < rows.length) {
            const b = rows[next++]
            if (kind === 'transitions') {
              await db.query(named('update', [b.id]))
              await db.query(named('audit', [b.id, EVENTS.transitions, transitionData, b.scheduled_at]))
            } else {
              const messageId = await mail.send(b)
              await db.query(named('reminded', [b.id]))
              await db.query(named('audit', [b.id, EVENTS.reminders, JSON.stringify({ messageId }), b.scheduled_at]))
            }
            onDone(1)
          }
        }
        await Promise.all(Array.from({ length: conc }, lane))
      },
      stop: async () => {},
      close: async () => { await db.end(); mail?.end() },
    }
  },
})
