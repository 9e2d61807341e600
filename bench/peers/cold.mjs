// Node function for the cold-start comparison. It uses the Lambda Runtime API directly and runs the idle pass
// of the naive loop (both SELECTs; nothing is due). It creates clients during init, outside the
// handler, as AWS advises. COLD_MAX_INVOCATIONS stops it after so many invocations (tests only).
import http from 'node:http'
import pg from 'pg'
import { SESv2Client, SendEmailCommand } from '@aws-sdk/client-sesv2'

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':')
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
const max = Number(process.env.COLD_MAX_INVOCATIONS || Infinity)

function api(method, path, body) {
  return new Promise((resolve, reject) => {
    const req = http.request(
      { host, port, method, path: `/2018-06-01/runtime/${path}`, agent, headers: body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } },
      (res) => {
        const parts = []
        res.on('data', (c) => parts.push(c))
        res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(parts).toString() }))
        res.on('error', reject)
      },
    )
    req.on('error', reject)
    req.end(body)
  })
}

const DUE_TRANSITIONS = `SELECT id, scheduled_at FROM bookings
  WHERE status = 'confirmed' AND scheduled_at <= now() ORDER BY scheduled_at`
const DUE_REMINDERS = `SELECT b.id, b.scheduled_at, u.email, u.display_name, u.timezone, s.title, s.duration_minutes
  FROM bookings b JOIN users u ON u.id = b.customer_id LEFT JOIN services s ON s.id = b.service_id
  WHERE b.status = 'confirmed' AND NOT b.reminder_sent
    AND b.scheduled_at > now() AND b.scheduled_at <= now() + interval '24 hours'
  ORDER BY b.scheduled_at`

const ses = new SESv2Client({ maxAttempts: 1 })
// sslmode=require in the URL: pg verifies the server's certificate; NODE_EXTRA_CA_CERTS names the CA.
// max 1: an execution environment runs one invocation at a time.
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 1 })
pool.on('error', (e) => console.error(e.message))

async function handler() {
  const transitions = (await pool.query(DUE_TRANSITIONS)).rows
  for (const b of transitions) {
    await pool.query(`UPDATE bookings SET status = 'in_progress', updated_at = now() WHERE id = $1`, [b.id])
    await audit(b, 'status_update', { from: 'confirmed', to: 'in_progress' })
  }
  const reminders = (await pool.query(DUE_REMINDERS)).rows
  for (const b of reminders) {
    const { MessageId: messageId } = await ses.send(
      new SendEmailCommand({
        FromEmailAddress: 'booking@studio.example',
        Destination: { ToAddresses: [b.email] },
        Content: { Simple: { Subject: { Data: `Reminder: ${b.title}` }, Body: { Text: { Data: `Hello ${b.display_name}, your booking "${b.title}" is on ${b.scheduled_at.toISOString()}.` } } } },
      }),
    )
    await pool.query('UPDATE bookings SET reminder_sent = true, updated_at = now() WHERE id = $1', [b.id])
    await audit(b, 'reminder_sent', { messageId })
  }
  return { transitions: transitions.length, reminders: reminders.length }
}
const audit = (b, type, data) =>
  pool.query(
    `INSERT INTO booking_automation_events (id, booking_id, event_type, event_data, scheduled_at, executed_at, status)
     VALUES (gen_random_uuid(), $1, $2, $3, $4, now(), 'completed')`,
    [b.id, type, JSON.stringify(data), b.scheduled_at],
  )

for (let n = 0; n < max; n++) {
  const next = await api('GET', 'invocation/next')
  const id = next.headers['lambda-runtime-aws-request-id']
  if (next.status !== 200 || !id) throw new Error(`runtime API answered ${next.status}`)
  try {
    const out = JSON.stringify(await handler(JSON.parse(next.body || '{}')))
    await api('POST', `invocation/${id}/response`, out)
  } catch (e) {
    await api('POST', `invocation/${id}/error`, JSON.stringify({ errorMessage: String(e.message), errorType: e.name, stackTrace: [] }))
  }
}
await pool.end()
agent.destroy()
