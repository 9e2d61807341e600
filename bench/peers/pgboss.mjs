// pg-boss: one job per booking; the worker fetches batches and the handler runs the jobs of a batch concurrently.
import { PgBoss } from 'pg-boss'
import { DATABASE_URL, chunks, dueSql, env, int, jobBody, main, median, named, once, openDb, openMail, round, versionOf } from './common.mjs'

const batchSize = (k) => int('PGBOSS_BATCH', k === 'reminders' ? 50 : 500)
const localConcurrency = (k) => int('PGBOSS_LOCAL', k === 'reminders' ? 4 : 2)
const batchSql = env('PGBOSS_BATCH_SQL', '0') === '1' // transitions: one statement for the whole batch instead of one job per booking
const dbMode = env('PEER_DB', 'pipeline')
const dbConns = int('PEER_DB_CONNECTIONS', 10)

async function boss(max) {
  const b = new PgBoss({ connectionString: DATABASE_URL, max, schedule: false, application_name: 'pgboss' })
  b.on('error', (e) => console.error('pg-boss:', e.message))
  await b.start()
  return b
}

main({
  name: 'pgboss',
  version: versionOf('pg-boss'),
  settings: (k) => ({ batchSize: batchSize(k), localConcurrency: localConcurrency(k), burstWhenBatchFull: true, batchSql, dbMode, dbConns }),
  async prepare(kind) {
    await once('DROP SCHEMA IF EXISTS pgboss CASCADE')
    const rows = await once(dueSql(kind))
    const b = await boss(4)
    await b.createQueue(kind)
    for (const part of chunks(rows, 5000)) {
      await b.insert(kind, part.map((r) => ({ data: { bookingId: r.id }, startAfter: new Date(Date.now() - 1000) })))
    }
    await b.stop({ graceful: true })
    for (const t of await once(`SELECT format('%I.%I', schemaname, tablename) AS t FROM pg_tables WHERE schemaname = 'pgboss' AND tablename LIKE 'j%'`)) await once(`ANALYZE ${t.t}`)
    await once('VACUUM ANALYZE bookings')
    return rows.length
  },
  async idle() {
    const b = await boss(2)
    await b.createQueue('idle')
    const ms = []
    let found = 0
    for (let i = 0; i < 200; i++) {
      const t = process.hrtime.bigint()
      found += (await b.fetch('idle', { batchSize: 100 })).length
      ms.push(Number(process.hrtime.bigint() - t) / 1e6)
    }
    await b.stop({ graceful: true })
    return { idle_ms_median: round(median(ms)), idle_ms_first: round(ms[0]), polls: ms.length, found, method: 'boss.fetch(queue, { batchSize }) on an empty queue' }
  },
  async open(kind) {
    const lanes = batchSize(kind) * localConcurrency(kind)
    const b = await boss(localConcurrency(kind) + 2)
    const db = await openDb(dbConns, dbMode)
    const mail = kind === 'reminders' ? await openMail(Math.max(50, lanes)) : null
    const body = jobBody(kind, db, mail)
    return {
      pending: async () => (await once(`SELECT count(*)::int AS n FROM pgboss.job WHERE name = $1 AND state < 'active'`, [kind]))[0].n,
      start: (onDone) =>
        b.work(
          kind,
          { batchSize: batchSize(kind), localConcurrency: localConcurrency(kind), burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 },
          async (jobs) => {
            if (batchSql && kind === 'transitions') await db.query(named('transitionMany', [jobs.map((j) => j.data.bookingId)]))
            else await Promise.all(jobs.map((j) => body(j.data.bookingId)))
            onDone(jobs.length)
          },
        ),
      // waits until the handlers' batches are marked as completed
      stop: () => b.offWork(kind, { wait: true }),
      close: async () => { await b.stop({ graceful: true }); await db.end(); mail?.end() },
    }
  },
})
