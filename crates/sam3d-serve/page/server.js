// Requests to the server: the token, errors as sentences, lines of progress.

const TOKEN = 'sam3d-token'

/** What the server refused, in its own words. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail)
    this.status = status
  }
}

/** Asks for the token until it is given; set by the page. */
export const tokenDialog = { ask: async () => undefined }

function headers() {
  const token = sessionStorage.getItem(TOKEN)
  return token ? { Authorization: `Bearer ${token}` } : {}
}

async function refusal(response) {
  const text = await response.text()
  try {
    return new Refused(response.status, JSON.parse(text).detail)
  } catch {
    return new Refused(response.status, text || `the server answered ${response.status}`)
  }
}

async function request(path, options = {}) {
  for (;;) {
    let response
    try {
      response = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } })
    } catch (error) {
      if (error.name === 'AbortError') throw error
      throw new Error('The server does not answer. Is it still running?')
    }
    if (response.ok) return response
    if (response.status !== 401) throw await refusal(response)
    sessionStorage.setItem(TOKEN, await tokenDialog.ask())
  }
}

/** The JSON at `path`. */
export async function get(path) {
  return (await request(path)).json()
}

/** The bytes at `path`. */
export async function bytes(path, signal) {
  return (await request(path, { signal })).arrayBuffer()
}

function json(body, signal) {
  return { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' }, signal }
}

/** The file that `body` asks for. */
export async function file(path, body) {
  return (await request(path, json(body))).blob()
}

/** Lets the server encode the region of the last of `clicks` before it is made. A failure is told by the click, if it comes. */
export function encodeAhead(image, clicks, signal) {
  request(`/api/encode-ahead?${image}`, json({ clicks }, signal)).catch(() => {})
}

/** Calls `onLine` with every line of the answer and returns the last one. */
export async function lines(path, body, signal, onLine) {
  const response = await request(path, json(body, signal))
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  let last
  for (;;) {
    const { value, done } = await reader.read()
    if (done) break
    const parts = (rest + value).split('\n')
    rest = parts.pop()
    for (const part of parts) {
      last = JSON.parse(part)
      onLine(last)
    }
  }
  if (!last || (last.stage !== 'done' && last.stage !== 'failed')) throw new Error('The server broke off its answer.')
  return last
}

/** Sends a file and tells `onProgress` what share of it has gone. */
export async function upload(content, onProgress) {
  for (;;) {
    const { status, text } = await new Promise((resolve, reject) => {
      // fetch does not tell how far an upload is.
      const sending = new XMLHttpRequest()
      sending.open('POST', `/api/uploads?name=${encodeURIComponent(content.name)}`)
      for (const [name, value] of Object.entries(headers())) sending.setRequestHeader(name, value)
      sending.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total)
      sending.onload = () => resolve({ status: sending.status, text: sending.responseText })
      sending.onerror = () => reject(new Error('The upload broke off.'))
      sending.send(content)
    })
    if (status === 200) return JSON.parse(text)
    if (status !== 401) throw await refusal(new Response(text, { status }))
    sessionStorage.setItem(TOKEN, await tokenDialog.ask())
  }
}

/** Forgets an upload; nobody waits for it. */
export function forget(upload) {
  request(`/api/uploads/${upload}`, { method: 'DELETE', keepalive: true }).catch(() => {})
}
