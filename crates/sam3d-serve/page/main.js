// What happens: between the panel, the viewer and the server.
import * as server from '/page/server.js'
import { Objects } from '/page/objects.js'
import { Panel, windowOf } from '/page/panel.js'
import { Viewer } from '/page/viewer.js'

const THRESHOLD_STEP = 0.02
const THRESHOLD_PAUSE_MS = 150

server.tokenDialog.ask = askToken
const state = await stateOfServer()
const objects = new Objects(state.target)
/** The image that is shown, as part of an address: `study=...` or `upload=...`. */
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

const viewer = new Viewer(document.getElementById('view'), document.getElementById('markers'), {
  click: (ijk, outside) => click(ijk, outside || negative),
  moved: (ijk, value) => panel.location(ijk, value),
})
const panel = new Panel({
  study: (id) => open(`study=${encodeURIComponent(id)}`, id),
  file: (file) => openFile(file),
  newObject: () => newObject(),
  select: (object) => { objects.active = object; shown() },
  rename: (object, name) => { object.name = name.trim() || object.name; shown() },
  recolour: (object, colour) => { object.colour = colour; viewer.showObjects(objects.list, objects.active) },
  remove: (object) => { objects.remove(object); shown() },
  mode: (outside) => mode(outside),
  undo: () => undo(),
  threshold: (value) => threshold(value),
  plane: (plane) => setPlane(plane),
  window: (number) => setWindow(number),
  opacity: (value) => { opacity = value; masked = true; showOpacity() },
  download: (format) => download(format),
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

async function open(address, study) {
  const opening = ++openings
  panel.error('')
  panel.status('Preparing the image', true)
  try {
    const [described, file] = await Promise.all([server.get(`/api/image?${address}`), server.bytes(`/api/volume?${address}`)])
    if (opening !== openings) return
    for (const object of objects.list) object.request?.abort()
    if (image?.startsWith('upload=')) server.forget(image.slice('upload='.length))
    image = address
    shortName = (study ?? described.name.replace(/\.(nii|nii\.gz|nrrd|mha|mhd|nhdr)$/i, '')).replaceAll('/', '_')
    objects.clear()
    await viewer.show(described, file)
    panel.opened(described.name, study)
    setWindow(0)
    shown()
    panel.status('Click into what you want to segment')
  } catch (error) {
    if (opening !== openings) return
    panel.status('Ready')
    panel.error(error.message)
  }
}

function click(ijk, outside) {
  if (outside && !state.negative_clicks) {
    panel.error(`Outside is off: ${state.negative_refused}.`)
    return
  }
  const object = objects.active
  object.clicks.push({ ijk, label: outside ? 'negative' : 'positive' })
  shown()
  segment(object, () => object.clicks.pop())
}

/** Asks for the mask of `object`; `takeBack` undoes what led to a request that is refused. */
async function segment(object, takeBack) {
  object.request?.abort()
  panel.error('')
  if (!object.clicks.some((click) => click.label === 'positive')) {
    Object.assign(object, { runs: [], voxels: 0, volumeMl: 0, request: undefined })
    shown()
    panel.status('Click into what you want to segment')
    return
  }
  const request = new AbortController()
  object.request = request
  const stopClock = watch(object, request)
  try {
    const body = { clicks: object.clicks, threshold: object.threshold }
    const last = await server.lines(`/api/mask?${image}`, body, request.signal, (line) => stopClock.stage(line))
    if (last.stage === 'failed') throw new Error(last.detail)
    encoderSeconds = last.encoding_seconds ?? encoderSeconds
    Object.assign(object, { runs: last.runs, voxels: last.voxels, volumeMl: last.volume_ml, request: undefined })
    shown()
    panel.status(summary(object, last))
  } catch (error) {
    if (error.name === 'AbortError') return
    object.request = undefined
    takeBack?.()
    shown()
    panel.status('Ready')
    panel.error(error.message)
  } finally {
    stopClock()
  }
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

function summary(object, { voxels, volume_ml: ml, outside }) {
  if (voxels === 0) return 'Nothing found above the threshold: lower it, or click elsewhere'
  const unused = outside ? `; ${outside} clicks too far away were not used` : ''
  return `${object.name}: ${ml.toFixed(2)} ml, ${voxels} voxels${unused}`
}

function undo() {
  const object = objects.active
  if (object.clicks.length === 0) return
  const click = object.clicks.pop()
  shown()
  segment(object, () => object.clicks.push(click))
}

function newObject() {
  objects.add()
  shown()
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

function shown() {
  panel.objects(objects)
  viewer.showObjects(objects.list, objects.active)
}

async function download(format) {
  panel.error('')
  panel.status('Writing the file', true)
  try {
    const content = await server.file(`/api/segmentation?${image}`, { format, objects: objects.sent() })
    const link = document.createElement('a')
    link.href = URL.createObjectURL(content)
    link.download = `${shortName}_mask${format}`
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 10000)
    panel.status('Downloaded')
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
  if (image?.startsWith('upload=')) server.forget(image.slice('upload='.length))
})
