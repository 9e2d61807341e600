// graphile-worker: one job per booking; local queue and batched completion enabled, as its performance page advises.
process.env.NO_LOG_SUCCESS ??= '1' // no log line per job
import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import { EventEmitter } from 'node:events'
import { DATABASE_URL, chunks, dueSql, env, int, jobBody, main, median, once, openDb, openMail, round, versionOf } from './common.mjs'

const concurrentJobs = (k) => int('GRAPHILE_CONCURRENCY', 100)
const queueSize = (k) => int('GRAPHILE_QUEUE', 500)
const completeDelay = int('GRAPHILE_DELAY', 0)
const dbMode = env('PEER_DB', 'pipeline')
const dbConns = int('PEER_DB_CONNECTIONS', 10)
const logger = new Logger(() => (level, message) => { if (level === 'error' || level === 'warning') console.error(message) })

main({
  name: 'graphile',
  version: versionOf('graphile-worker'),
  settings: (k) => ({ concurrentJobs: concurrentJobs(k), localQueue: queueSize(k), completeJobBatchDelay: completeDelay, dbMode, dbConns }),
  async prepare(kind) {
    await once('DROP SCHEMA IF EXISTS graphile_worker CASCADE')
    const rows = await once(dueSql(kind))
    const u = await makeWorkerUtils({ connectionString: DATABASE_URL, logger })
    await u.migrate()
    const runAt = new Date(Date.now() - 1000)
    for (const part of chunks(rows, 5000)) {
      await u.addJobs(part.map((r) => ({ identifier: kind, payload: { bookingId: r.id }, runAt })))
    }
    await u.release()
    await once('ANALYZE graphile_worker._private_jobs')
    await once('VACUUM ANALYZE bookings')
    return rows.length
  },
  async idle() {
    const events = new EventEmitter()
    const ms = []
    let t
    events.on('worker:getJob:start', () => { t = process.hrtime.bigint() })
    let enough
    const done = new Promise((r) => { enough = r })
    events.on('worker:getJob:empty', () => { ms.push(Number(process.hrtime.bigint() - t) / 1e6); if (ms.length >= 200) enough() })
    const r = await run({ connectionString: DATABASE_URL, logger, events, concurrency: 1, pollInterval: 5, noHandleSignals: true, taskList: { idle: async () => {} }, parsedCronItems: [] })
    await done
    await r.stop()
    return { idle_ms_median: round(median(ms)), idle_ms_first: round(ms[0]), polls: ms.length, found: 0, method: "between the library's own events worker:getJob:start and worker:getJob:empty (no local queue)" }
  },
  async open(kind) {
    const db = await openDb(dbConns, dbMode)
    const mail = kind === 'reminders' ? await openMail(Math.max(50, concurrentJobs(kind))) : null
    const body = jobBody(kind, db, mail)
    let runner
    return {
      pending: async () => (await once('SELECT count(*)::int AS n FROM graphile_worker.jobs WHERE task_identifier = $1', [kind]))[0].n,
      async start(onDone, onBegin) {
        const events = new EventEmitter()
        events.once('pool:create', onBegin) // run() connects and checks migrations first
        runner = await run({
          preset: {
            worker: {
              connectionString: DATABASE_URL,
              concurrentJobs: concurrentJobs(kind),
              maxPoolSize: int('GRAPHILE_POOL', concurrentJobs(kind) + 2),
              localQueue: { size: queueSize(kind) },
              completeJobBatchDelay: completeDelay,
              failJobBatchDelay: completeDelay,
              pollInterval: 2000,
              logger,
              events,
            },
          },
          noHandleSignals: true,
          parsedCronItems: [],
          taskList: { [kind]: async (payload) => { await body(payload.bookingId); onDone(1) } },
        })
      },
      // a graceful stop writes the last batch of completions
      stop: () => runner.stop(),
      close: async () => { await db.end(); mail?.end() },
    }
  },
})
