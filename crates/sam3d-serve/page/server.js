// Requests to the server: the token, errors as sentences, lines of progress. Addresses are relative to the page's, so that the
// server may lie below any path of a proxy.

const TOKEN = 'sam3d-token'
const BASE = new URL('../', import.meta.url)

/** What the server refused, in its own words. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail)
    this.status = status
  }
}

/** The server does not answer. */
export class Unreachable extends Error {
  constructor() {
    super('The server does not answer. Trying again until it does.')
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
  // A proxy says so while the server behind it is gone.
  if ([502, 504].includes(response.status)) return new Unreachable()
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
      response = await fetch(new URL(path, BASE), { ...options, headers: { ...options.headers, ...headers() } })
    } catch (error) {
      throw error.name === 'AbortError' ? error : new Unreachable()
    }
    if (response.ok) return response
    if (response.status !== 401) throw await refusal(response)
    sessionStorage.setItem(TOKEN, await tokenDialog.ask())
  }
}

/** Waits until the server answers again. */
export async function reachable() {
  const RETRY_MS = 1000
  for (;;) {
    try {
      if ((await fetch(new URL('healthz', BASE))).ok) return
    } catch {
      // Not yet.
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
  }
}

/** The JSON at `path`. */
export async function get(path) {
  return (await request(path)).json()
}

/** The JSON at `path`, and its revision. */
export async function getRevision(path) {
  const response = await request(path)
  return { content: await response.json(), revision: response.headers.get('etag') }
}

/** The bytes at `path`. */
export async function bytes(path, signal) {
  const response = await request(path, { signal })
  try {
    return await response.arrayBuffer()
  } catch (error) {
    throw error.name === 'AbortError' ? error : new Unreachable()
  }
}

function json(body, signal) {
  return { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' }, signal }
}

/** The answer to `body`, JSON. */
export async function post(path, body) {
  return (await request(path, json(body))).json()
}

/** Writes `body` in place of the revision that was read, and returns the new revision. */
export async function put(path, body, revision) {
  const options = json(body)
  options.headers['If-Match'] = revision
  // Sent to its end when the page is left meanwhile, which browsers allow up to 64 KiB.
  options.keepalive = options.body.length < 60000
  return (await request(path, { ...options, method: 'PUT' })).headers.get('etag')
}

/** The file that `body` asks for. */
export async function file(path, body) {
  return (await request(path, json(body))).blob()
}

/** Lets the server encode the region of the last of `clicks` before it is made. A failure is told by the click, if it comes. */
export function encodeAhead(image, clicks, signal) {
  request(`api/encode-ahead?${image}`, json({ clicks }, signal)).catch(() => {})
}

/** Calls `onLine` with every line of the answer and returns the last one. */
export async function lines(path, body, signal, onLine) {
  const response = await request(path, json(body, signal))
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = []
  let last
  for (;;) {
    let read
    try {
      read = await reader.read()
    } catch (error) {
      throw error.name === 'AbortError' ? error : new Unreachable()
    }
    if (read.done) break
    const parts = read.value.split('\n')
    rest.push(parts[0])
    for (const part of parts.slice(1)) {
      performance.mark('answered')
      // A large mask arrives in many pieces, which are joined once.
      last = JSON.parse(rest.join(''))
      rest = [part]
      onLine(last)
    }
  }
  if (!last || (last.stage !== 'done' && last.stage !== 'failed')) throw new Unreachable()
  return last
}

/** Sends a file to `path`, whose answer is JSON, and tells `onProgress` what share of it has gone. */
export async function send(path, content, onProgress) {
  for (;;) {
    const { status, text } = await new Promise((resolve, reject) => {
      // fetch does not tell how far an upload is.
      const sending = new XMLHttpRequest()
      sending.open('POST', new URL(path, BASE))
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
