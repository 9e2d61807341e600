// BullMQ on Redis: one delayed job per booking.
import { Queue, Worker } from 'bullmq'
import { REDIS_URL, chunks, dueSql, env, int, jobBody, main, median, once, openDb, openMail, round, versionOf } from './common.mjs'

const concurrency = (k) => int('BULLMQ_CONCURRENCY', k === 'reminders' ? 100 : 50)
const delay = int('BULLMQ_DELAY', 1) // ms: 1 = uses the delayed set, like a job that is scheduled ahead; 0 = goes directly to the wait list
const dbMode = env('PEER_DB', 'pipeline')
const dbConns = int('PEER_DB_CONNECTIONS', 10)
const connection = { url: REDIS_URL, ...(env('BULLMQ_AUTOPIPELINE', '0') === '1' ? { enableAutoPipelining: true } : {}) }

main({
  name: 'bullmq',
  version: versionOf('bullmq'),
  settings: (k) => ({ concurrency: concurrency(k), removeOnComplete: true, dbMode, dbConns, delay }),
  async prepare(kind) {
    const rows = await once(dueSql(kind))
    const q = new Queue(kind, { connection })
    await q.obliterate({ force: true })
    for (const part of chunks(rows, 1000)) {
      await q.addBulk(part.map((r) => ({ name: kind, data: { bookingId: r.id }, opts: { delay, attempts: 3, removeOnComplete: true, removeOnFail: 1000 } })))
    }
    await q.close()
    await once('VACUUM ANALYZE bookings')
    return rows.length
  },
  async idle() {
    const q = new Queue('idle', { connection })
    await q.obliterate({ force: true })
    const w = new Worker('idle', null, { connection, autorun: false })
    await w.waitUntilReady()
    const ms = []
    let found = 0
    for (let i = 0; i < 200; i++) {
      const t = process.hrtime.bigint()
      if (await w.getNextJob('idle-token', { block: false })) found++
      ms.push(Number(process.hrtime.bigint() - t) / 1e6)
    }
    await w.close()
    await q.close()
    return { idle_ms_median: round(median(ms)), idle_ms_first: round(ms[0]), polls: ms.length, found, method: 'worker.getNextJob(token, { block: false }) on an empty queue (a running worker blocks in Redis instead of polling)' }
  },
  async open(kind) {
    const db = await openDb(dbConns, dbMode)
    const mail = kind === 'reminders' ? await openMail(Math.max(50, concurrency(kind))) : null
    const body = jobBody(kind, db, mail)
    const w = new Worker(kind, (job) => body(job.data.bookingId), { connection, concurrency: concurrency(kind), autorun: false })
    w.on('error', (e) => console.error('bullmq:', e.message))
    w.on('failed', (job, e) => console.error('bullmq: job failed:', e.message))
    await w.waitUntilReady()
    return {
      async pending() {
        const q = new Queue(kind, { connection })
        const c = await q.getJobCounts('wait', 'delayed', 'active', 'prioritized')
        await q.close()
        return c.wait + c.delayed + c.active + c.prioritized
      },
      async start(onDone) {
        w.on('completed', () => onDone(1)) // after the job was moved to finished in Redis
        w.run().catch((e) => { console.error(e); process.exit(5) })
      },
      stop: async () => {}, // the library emits 'completed' after it has recorded the job
      close: async () => { await w.close(); await db.end(); mail?.end() },
    }
  },
})
