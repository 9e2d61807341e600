// Shared by all peers: configuration, SQL, database access, SES client, the command line.
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import pg from 'pg'

const require = createRequire(import.meta.url)
export const versionOf = (pkg) => {
  // (bullmq and others do not export ./package.json, so it is read by path)
  const url = new URL(`./node_modules/${pkg}/package.json`, import.meta.url)
  return require(fileURLToPath(url)).version
}

export const int = (name, dflt) => {
  const v = process.env[name]
  return v === undefined || v === '' ? dflt : Number.parseInt(v, 10)
}
export const env = (name, dflt) => process.env[name] || dflt

export const DATABASE_URL = env('DATABASE_URL', 'postgres://postgres@127.0.0.1:5432/postgres')
export const REDIS_URL = env('REDIS_URL', 'redis://127.0.0.1:6379')

// The SQL of all peers: which bookings are due, and what is written.
const FROM = 'confirmed'
const TO = 'in_progress'
const HOURS = 24
const EV_STARTED = 'status_update'
const EV_REMINDER = 'reminder_sent'
const MAIL_FROM = 'booking@studio.example'

const person = `b.id, b.scheduled_at, u.email, u.display_name, u.timezone, s.title, s.duration_minutes
  FROM bookings b JOIN users u ON u.id = b.customer_id LEFT JOIN services s ON s.id = b.service_id`

export const SQL = {
  // the due work, as the naive loop selects it; the queues' jobs are created from it
  dueTransitions: `SELECT id, scheduled_at FROM bookings
    WHERE status = '${FROM}' AND scheduled_at <= now() ORDER BY scheduled_at`,
  dueReminders: `SELECT ${person}
    WHERE b.status = '${FROM}' AND NOT b.reminder_sent
      AND b.scheduled_at > now() AND b.scheduled_at <= now() + interval '${HOURS} hours'
    ORDER BY b.scheduled_at`,
  // phase1: two statements per booking
  update: `UPDATE bookings SET status = '${TO}', updated_at = now() WHERE id = $1`,
  reminded: `UPDATE bookings SET reminder_sent = true, updated_at = now() WHERE id = $1`,
  audit: `INSERT INTO booking_automation_events (id, booking_id, event_type, event_data, scheduled_at, executed_at, status)
    VALUES (gen_random_uuid(), $1, $2, $3, $4, now(), 'completed')`,
  // queues: the update and the audit row of one booking in one statement: one round trip, one commit, and no
  // audit row if the booking no longer has the expected status
  transition: `WITH u AS (
      UPDATE bookings SET status = '${TO}', updated_at = now()
      WHERE id = $1 AND status = '${FROM}' RETURNING id, scheduled_at)
    INSERT INTO booking_automation_events (id, booking_id, event_type, event_data, scheduled_at, executed_at, status)
    SELECT gen_random_uuid(), u.id, '${EV_STARTED}', jsonb_build_object('from', '${FROM}', 'to', '${TO}'), u.scheduled_at, now(), 'completed' FROM u`,
  // the same for a whole batch of jobs (only pg-boss hands its handler a batch)
  transitionMany: `WITH u AS (
      UPDATE bookings SET status = '${TO}', updated_at = now()
      WHERE id = ANY($1::uuid[]) AND status = '${FROM}' RETURNING id, scheduled_at)
    INSERT INTO booking_automation_events (id, booking_id, event_type, event_data, scheduled_at, executed_at, status)
    SELECT gen_random_uuid(), u.id, '${EV_STARTED}', jsonb_build_object('from', '${FROM}', 'to', '${TO}'), u.scheduled_at, now(), 'completed' FROM u`,
  readOne: `SELECT ${person} WHERE b.id = $1 AND b.status = '${FROM}' AND NOT b.reminder_sent`,
  remind: `WITH u AS (
      UPDATE bookings SET reminder_sent = true, updated_at = now()
      WHERE id = $1 AND NOT reminder_sent RETURNING id, scheduled_at)
    INSERT INTO booking_automation_events (id, booking_id, event_type, event_data, scheduled_at, executed_at, status)
    SELECT gen_random_uuid(), u.id, '${EV_REMINDER}', jsonb_build_object('messageId', $2::text), u.scheduled_at, now(), 'completed' FROM u`,
}
export const EVENTS = { transitions: EV_STARTED, reminders: EV_REMINDER }
export const dueSql = (kind) => (kind === 'reminders' ? SQL.dueReminders : SQL.dueTransitions)
export const transitionData = JSON.stringify({ from: FROM, to: TO })

// Named queries: PostgreSQL parses and plans each once per connection.
export const named = (name, values) => ({ name, text: SQL[name], values })

// mode 'pool': a pg.Pool of n connections, all opened in advance.
// mode 'pipeline': n connections with pg's `pipeline: true` (8.23), round robin, so that many
// statements are on the wire of each connection at once.
export async function openDb(n, mode = 'pool') {
  if (mode === 'pipeline') {
    const clients = Array.from({ length: n }, () => new pg.Client({ connectionString: DATABASE_URL, pipeline: true }))
    await Promise.all(clients.map((c) => c.connect()))
    let i = 0
    return {
      query: (q) => clients[(i = (i + 1) % n)].query(q),
      end: () => Promise.all(clients.map((c) => c.end())),
    }
  }
  const pool = new pg.Pool({ connectionString: DATABASE_URL, max: n, min: n, idleTimeoutMillis: 0 })
  pool.on('error', (e) => console.error(e))
  const held = await Promise.all(Array.from({ length: n }, () => pool.connect()))
  held.forEach((c) => c.release())
  return { query: (q) => pool.query(q), end: () => pool.end() }
}

// For set-up, which is not timed.
export async function once(text, values) {
  const c = new pg.Client({ connectionString: DATABASE_URL })
  await c.connect()
  try {
    return (await c.query(text, values)).rows
  } finally {
    await c.end()
  }
}

export async function openMail(maxSockets) {
  const { SESv2Client, SendEmailCommand } = await import('@aws-sdk/client-sesv2')
  const agent = { keepAlive: true, maxSockets, maxFreeSockets: maxSockets }
  const client = new SESv2Client({
    maxAttempts: 1,
    cacheMiddleware: true,
    requestHandler: { httpAgent: agent, httpsAgent: agent, requestTimeout: 30_000, connectionTimeout: 6_000 },
  })
  const formats = new Map()
  const local = (at, tz) => {
    const zone = tz || 'UTC'
    let f = formats.get(zone)
    if (!f) {
      f = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'short', timeZone: zone })
      formats.set(zone, f)
    }
    return f.format(at)
  }
  return {
    send: async (b) => {
      const when = local(b.scheduled_at, b.timezone)
      const text = `Hello ${b.display_name},\n\nyour booking "${b.title}" is on ${when} (${b.duration_minutes} minutes).\n`
      const out = await client.send(
        new SendEmailCommand({
          FromEmailAddress: MAIL_FROM,
          Destination: { ToAddresses: [b.email] },
          Content: {
            Simple: {
              Subject: { Data: `Reminder: ${b.title}`, Charset: 'UTF-8' },
              Body: {
                Text: { Data: text, Charset: 'UTF-8' },
                Html: { Data: `<p>Hello ${b.display_name},</p><p>your booking <b>${b.title}</b> is on ${when} (${b.duration_minutes} minutes).</p>`, Charset: 'UTF-8' },
              },
            },
          },
        }),
      )
      return out.MessageId
    },
    end: () => client.destroy(),
  }
}

// The work of one queue job.
export function jobBody(kind, db, mail) {
  if (kind === 'transitions') return (id) => db.query(named('transition', [id]))
  return async (id) => {
    const { rows } = await db.query(named('readOne', [id]))
    if (rows.length === 0) return
    const messageId = await mail.send(rows[0])
    await db.query(named('remind', [id, messageId]))
  }
}

export const median = (a) => a.slice().sort((x, y) => x - y)[Math.floor(a.length / 2)]
export const round = (x, d = 4) => Number(x.toFixed(d))

/**
 * peer: { name, version, settings(kind), prepare(kind) -> n, idle() -> {...}, open(kind) -> session }
 * session: { pending() -> n, start(onDone, onBegin) (onBegin: the clock starts only here, for a library
 *            that connects and begins in one call), stop() (resolves when the library has recorded the last
 *            completion), close() }
 */
export async function main(peer) {
  const [cmd, kind] = process.argv.slice(2)
  const usage = () => {
    console.error(`usage: node ${peer.name}.mjs prepare|work transitions|reminders, or idle`)
    process.exit(64)
  }
  const head = { peer: peer.name, version: peer.version }
  if (cmd === 'idle') {
    console.log(JSON.stringify({ ...head, ...(await peer.idle()) }))
    process.exit(0)
  }
  if (kind !== 'transitions' && kind !== 'reminders') usage()
  if (cmd === 'prepare') {
    const jobs = await peer.prepare(kind)
    console.log(JSON.stringify({ ...head, prepared: jobs }))
    process.exit(0)
  }
  if (cmd !== 'work') usage()

  const limit = setTimeout(() => {
    console.error(`${peer.name}: over 300 s, given up (done ${count})`)
    process.exit(2)
  }, 300_000)
  limit.unref()

  let count = 0
  const s = await peer.open(kind)
  const total = await s.pending()
  let allDone
  const all = new Promise((r) => { allDone = r })
  let t0 = process.hrtime.bigint()
  let tLast = t0
  if (total === 0) allDone()
  await s.start((n) => {
    count += n
    tLast = process.hrtime.bigint()
    if (count >= total) allDone()
  }, () => { t0 = process.hrtime.bigint() })
  await all
  await s.stop()
  const timing = { seconds: Number(process.hrtime.bigint() - t0) / 1e9, handlers: Number(tLast - t0) / 1e9 }
  await s.close()
  console.log(
    JSON.stringify({
      ...head,
      done: count,
      seconds: round(timing.seconds),
      handlers_seconds: round(Math.max(0, timing.handlers)),
      worker_cpu_seconds: round((process.cpuUsage().user + process.cpuUsage().system) / 1e6, 2), // whole process, start-up included
      node: process.version,
      settings: peer.settings(kind),
    }),
  )
  process.exit(0)
}

export const chunks = function* (rows, size) {
  for (let i = 0; i < rows.length; i += size) yield rows.slice(i, i + size)
}
