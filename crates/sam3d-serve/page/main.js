// What happens: between the panel, the viewer and the server.
import * as server from '/page/server.js'
import { Ahead } from '/page/ahead.js'
import { Objects, show, showNothing } from '/page/objects.js'
import { Panel, windowOf } from '/page/panel.js'
import { Viewer } from '/page/viewer.js'

const THRESHOLD_STEP = 0.02
const THRESHOLD_PAUSE_MS = 150

server.tokenDialog.ask = askToken
const state = await stateOfServer()
const objects = new Objects(state.target)
/** The image that is shown, as part of an address: `study=...` or `upload=...`, and its hash. Nothing is shown without. */
let image
/** What its files are called. */
let shortName
/** Counts what is being opened: what was overtaken is not shown. */
let openings = 0
let negative = false
let opacity = 0.5
let masked = true
/** How long the encoder took last, in seconds. */
let encoderSeconds
let thresholdTimer
/** Settles when the viewer has drawn the image it is at. */
let drawing = Promise.resolve()

const viewer = new Viewer(document.getElementById('view'), document.getElementById('markers'), {
  click: (ijk, outside) => click(ijk, outside || negative),
  moved: (ijk, value) => panel.location(ijk, value),
  aimed: () => ahead.moved(),
})
const ahead = new Ahead(() => {
  const ijk = state.encodes_ahead && image && viewer.aim()
  return ijk && { image, clicks: [...objects.active.clicks, { ijk, label: 'positive' }] }
})
const panel = new Panel({
  study: (id) => open(`study=${encodeURIComponent(id)}`, id),
  file: (file) => openFile(file),
  newObject: () => newObject(),
  select: (object) => { objects.active = object; shownObjects() },
  rename: (object, name) => { object.name = name.trim() || object.name; shownObjects() },
  recolour: (object, colour) => { object.colour = colour; viewer.showObjects(objects.list, objects.active) },
  remove: (object) => { objects.remove(object); shownObjects() },
  mode: (outside) => mode(outside),
  undo: () => undo(),
  threshold: (value) => threshold(value),
  plane: (plane) => setPlane(plane),
  window: (number) => setWindow(number),
  opacity: (value) => { opacity = value; masked = true; showOpacity() },
  download: (format) => download(format),
  session: () => downloadSessions(),
})
panel.negativeClicks(state.negative_clicks, state.negative_refused)
panel.objects(objects)
await viewer.attach().catch((error) => panel.error(`This browser cannot show images: ${error.message}`))
await listStudies()

/** What the page must know of the server, as soon as that answers. */
async function stateOfServer() {
  const RETRY_MS = 2000
  for (;;) {
    try {
      const state = await server.get('/api/state')
      document.getElementById('error').textContent = ''
      return state
    } catch (error) {
      document.getElementById('error').textContent = error.message
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
}

function askToken() {
  const dialog = document.getElementById('token-dialog')
  const input = document.getElementById('token')
  input.value = ''
  dialog.showModal()
  return new Promise((resolve) => dialog.addEventListener('close', () => resolve(input.value.trim()), { once: true }))
}

async function listStudies() {
  try {
    panel.studies(await server.get('/api/studies'))
  } catch (error) {
    panel.error(error.message)
  }
}

async function openFile(file) {
  const opening = ++openings
  panel.error('')
  panel.status(`Sending ${file.name}`, true, 0)
  try {
    const { upload } = await server.upload(file, (share) => panel.status(`Sending ${file.name}`, true, share))
    if (opening === openings) await open(`upload=${upload}`)
    else server.forget(upload)
  } catch (error) {
    if (opening !== openings) return
    panel.status('Ready')
    panel.error(error.message)
  }
}

/** Closes what is shown: another image is on its way, and the page shows one image or none. */
function close() {
  for (const object of objects.list) object.request?.abort()
  if (image?.startsWith('upload=')) server.forget(uploadOf(image))
  image = undefined
  clearTimeout(thresholdTimer)
  ahead.stop()
  objects.clear()
  viewer.close()
  panel.closed()
  panel.objects(objects)
}

/** Does `work` after what was begun before, so that the viewer draws one image at a time. */
function inTurn(work) {
  const turn = drawing.then(work)
  drawing = turn.catch(() => {})
  return turn
}

function uploadOf(address) {
  return new URLSearchParams(address).get('upload')
}

async function open(address, study) {
  const opening = ++openings
  close()
  panel.error('')
  panel.status('Preparing the image', true)
  try {
    const described = await server.get(`/api/image?${address}`)
    const shown = `${address}&sha256=${described.sha256}`
    const file = await server.bytes(`/api/volume?${shown}`)
    if (opening !== openings) return
    await inTurn(async () => {
      if (opening !== openings) return
      await viewer.show(described, file)
      // What was overtaken while it was drawn does not stay.
      if (opening !== openings) viewer.close()
    })
    if (opening !== openings) return
    image = shown
    shortName = (study ?? described.name.replace(/\.(nii|nii\.gz|nrrd|mha|mhd|nhdr)$/i, '')).replaceAll('/', '_')
    panel.opened(described.name, study)
    setWindow(0)
    shownObjects()
    panel.status('Click into what you want to segment')
    document.getElementById('view').focus()
  } catch (error) {
    if (opening !== openings) return
    close()
    panel.status('Ready')
    panel.error(study ? `${study}: ${error.message}` : error.message)
  }
}

function click(ijk, outside) {
  if (!image) return
  if (outside && !state.negative_clicks) {
    panel.error(`Outside is off: ${state.negative_refused}.`)
    return
  }
  const object = objects.active
  const added = { ijk, label: outside ? 'negative' : 'positive' }
  object.clicks = [...object.clicks, added]
  segment(object, () => { object.clicks = object.clicks.filter((click) => click !== added) })
}

/** Asks for the mask of `object`; `takeBack` undoes what led to a request that is refused. */
async function segment(object, takeBack) {
  object.request?.abort()
  object.request = undefined
  panel.error('')
  if (!object.clicks.some((click) => click.label === 'positive')) {
    showNothing(object)
    shownObjects()
    panel.status('Click into what you want to segment')
    return
  }
  const request = new AbortController()
  object.request = request
  shownObjects()
  const stopClock = watch(object, request)
  const asked = { clicks: object.clicks, threshold: object.threshold }
  try {
    const last = await server.lines(`/api/mask?${image}`, asked, request.signal, (line) => stopClock.stage(line))
    if (last.stage === 'failed') throw new Error(last.detail)
    if (object.request !== request) return
    encoderSeconds = last.encoding_seconds ?? encoderSeconds
    object.request = undefined
    show(object, asked, last)
    shownObjects()
    panel.status(summary(object, last))
  } catch (error) {
    if (error.name === 'AbortError' || object.request !== request) return
    object.request = undefined
    await refused(object, takeBack)
    panel.error(error.message)
  } finally {
    stopClock()
  }
}

/** Brings an object whose request was refused back to what it can show. */
async function refused(object, takeBack) {
  const { answered } = object
  if (takeBack) {
    takeBack()
    // An earlier click may have been waiting for its answer when this one came: it is asked for now.
    const isShown = answered ? sameClicks(object.clicks, answered.clicks) : object.clicks.length === 0
    if (!isShown) {
      await segment(object)
      return
    }
  } else {
    object.clicks = answered?.clicks ?? []
    object.threshold = answered?.threshold ?? object.threshold
  }
  shownObjects()
  panel.status('Ready')
}

function sameClicks(some, others) {
  return some.length === others.length && some.every((click, at) => click === others[at])
}

/** Shows how far a request is, until the returned function is called. */
function watch(object, request) {
  const start = performance.now()
  let stage = { stage: 'waiting', ahead: 0 }
  const show = () => {
    if (object.request !== request) return
    const seconds = (performance.now() - start) / 1000
    const words = {
      waiting: stage.ahead ? `Waiting, ${stage.ahead} before this` : 'Waiting for the network',
      encoding: `Encoding this region, ${seconds.toFixed(0)} s`,
      decoding: 'Computing the mask',
    }
    // What is known of the encoder's time is what it took last.
    const share = stage.stage === 'encoding' && encoderSeconds ? Math.min(seconds / encoderSeconds, 0.95) : undefined
    panel.status(words[stage.stage] ?? '', true, share)
  }
  const timer = setInterval(show, 200)
  show()
  const stop = () => clearInterval(timer)
  stop.stage = (line) => {
    if (line.stage === 'done' || line.stage === 'failed') return
    stage = line
    show()
  }
  return stop
}

function summary(object, { voxels, volume_ml: ml, outside, missed }) {
  if (voxels === 0) return 'Nothing found above the threshold: lower it, or click elsewhere'
  const unused = outside ? `; ${outside} clicks too far away were not used` : ''
  const places = missed.map((at) => object.clicks[at].ijk.join(', '))
  const contradicted = places.length ? `; the mask contradicts the click at ${places.join(' and at ')}` : ''
  return `${object.name}: ${ml.toFixed(2)} ml, ${voxels} voxels${unused}${contradicted}`
}

function undo() {
  const object = objects.active
  if (object.clicks.length === 0) return
  const before = object.clicks
  object.clicks = before.slice(0, -1)
  segment(object, () => { object.clicks = before })
}

function newObject() {
  objects.add()
  shownObjects()
}

function threshold(value) {
  const object = objects.active
  object.threshold = Number(Math.min(0.98, Math.max(0.02, value)).toFixed(2))
  panel.objects(objects)
  clearTimeout(thresholdTimer)
  if (object.clicks.length > 0) thresholdTimer = setTimeout(() => segment(object), THRESHOLD_PAUSE_MS)
}

function mode(outside) {
  negative = outside && state.negative_clicks
  panel.mode(negative)
}

function setPlane(plane) {
  viewer.setPlane(plane)
  panel.plane(plane)
}

function setWindow(number) {
  viewer.setWindow(windowOf(number))
  panel.window(number)
}

function showOpacity() {
  viewer.setOpacity(masked ? opacity : 0)
  panel.opacity(masked ? opacity : 0)
}

function shownObjects() {
  panel.objects(objects)
  viewer.showObjects(objects.list, objects.active)
}

/** Gives a file to the user. */
function save(content, name) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(content)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
}

/** Saves the session of each object that is shown. */
function downloadSessions() {
  const sessions = objects.sessions()
  for (const [at, { name, log }] of sessions.entries()) {
    // Two objects may have one name.
    const part = sessions.length > 1 ? `_${at + 1}_${name.replace(/[^\w-]+/g, '_')}` : ''
    save(new Blob([JSON.stringify(log, null, 2)], { type: 'application/json' }), `${shortName}${part}_session.json`)
  }
  panel.status(sessions.length > 1 ? `${sessions.length} sessions downloaded` : 'Session downloaded')
}

/** Says which objects lie under later ones, whose label their common voxels have in the file. */
function covered() {
  const visible = viewer.visibleVoxels(objects.list)
  const under = objects.list.flatMap(({ name, voxels }, at) => {
    const hidden = voxels - visible[at]
    return hidden > 0 ? [`${hidden} of ${voxels} voxels of ${name}`] : []
  })
  return under.length ? `; ${under.join(', ')} lie under later objects and have their label` : ''
}

async function download(format) {
  panel.error('')
  panel.status('Writing the file', true)
  try {
    const content = await server.file(`/api/segmentation?${image}`, { format, objects: objects.sent() })
    save(content, `${shortName}_mask${format}`)
    panel.status(`Downloaded${covered()}`)
  } catch (error) {
    panel.status('Ready')
    panel.error(error.message)
  }
}

const KEYS = {
  n: newObject,
  u: undo,
  x: () => mode(!negative),
  m: () => { masked = !masked; showOpacity() },
  v: () => setPlane('all'),
  a: () => setPlane('axial'),
  c: () => setPlane('coronal'),
  s: () => setPlane('sagittal'),
  d: () => setPlane('render'),
  '[': () => threshold(objects.active.threshold - THRESHOLD_STEP),
  ']': () => threshold(objects.active.threshold + THRESHOLD_STEP),
  '?': () => document.getElementById('help-dialog').showModal(),
  PageUp: () => viewer.step(0, 0, 1),
  PageDown: () => viewer.step(0, 0, -1),
}
/** Keys that belong to the image while it has the focus, and to whatever else has it otherwise. */
const IMAGE_KEYS = {
  // In radiological convention the patient's right is on the left.
  ArrowLeft: () => viewer.step(1, 0, 0),
  ArrowRight: () => viewer.step(-1, 0, 0),
  ArrowUp: () => viewer.step(0, 1, 0),
  ArrowDown: () => viewer.step(0, -1, 0),
  Enter: (event) => {
    const ijk = viewer.crosshair()
    if (ijk) click(ijk, event.altKey || negative)
  },
}

document.addEventListener('keydown', (event) => {
  const { target, key } = event
  if (document.querySelector('dialog[open]') || target.matches('input[type="text"], select')) return
  if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === 'z') {
    event.preventDefault()
    undo()
    return
  }
  if (event.ctrlKey || event.metaKey) return
  const onImage = target === document.getElementById('view')
  const letter = key.length === 1 ? key.toLowerCase() : key
  const action = (onImage && IMAGE_KEYS[key]) || KEYS[letter] || (/^[1-7]$/.test(key) && (() => setWindow(Number(key) - 1)))
  if (!action) return
  event.preventDefault()
  action(event)
}, { capture: true })

window.addEventListener('pagehide', () => {
  if (image?.startsWith('upload=')) server.forget(uploadOf(image))
})
