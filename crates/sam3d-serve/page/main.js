// What happens: between the panel, the viewer, the objects and the server.
import * as server from './server.js'
import { Ahead } from './ahead.js'
import { Answers } from './answers.js'
import { dropped, packed } from './folder.js'
import { hexadecimal, History } from './history.js'
import { listenForKeys } from './keys.js'
import { placeOf, showObjects, summary } from './object_list.js'
import { askToken, byId, Panel } from './panel.js'
import { Progress, whileFetched } from './progress.js'
import { Render } from './render.js'
import { download, downloadSessions, saveLabel, store } from './saving.js'
import { clicksWith, itemOf, measured, TOOLS } from './strokes.js'
import { Viewer } from './viewer.js'
import { viewControls } from './view_controls.js'
import { address, Workspace } from './workspace.js'

const [THRESHOLD_STEP, THRESHOLD_PAUSE_MS, MOST_WIDTH] = [0.02, 150, 40]
const FIRST_WORDS = 'Click into what you want to segment'

server.tokenDialog.ask = askToken
/** What the server can do. */
let state
/** The image that is shown, as part of an address: `study=...` or `upload=...`, and its hash. Nothing is shown without. */
let image
/** The same as it is kept: study, or upload and series. */
let named
/** What its files are called. */
let shortName
/** Counts what is being opened: what was overtaken is not shown. */
let openings = 0
let tool = 'click'
let isOutside = false
let width = 5
let ruler = []
let thresholdTimer
let waiting
let isAnswerDrawn = true

const parts = { masks: () => shownObjects() }
const wanted = {
  ...viewControls(parts),
  study: (id) => open({ study: id }),
  files: (name, files) => openFiles(name, files),
  drop: async (transfer) => {
    const { name, files } = await dropped(transfer)
    if (files.length) openFiles(name, files)
  },
  maskFile: (file) => attempt(async () => {
    const path = `api/label/objects?${image}&name=${encodeURIComponent(file.name)}`
    begin(await server.send(path, file, (share) => panel.status(`Sending ${file.name}`, true, share)))
  }),
  savedLabel: () => attempt(async () => begin(await server.get(`api/label?${image}`))),
  copyObject: () => {
    const { active } = history
    begin([{ name: `${active.name} copy`, runs: answers.runs(active) }])
  },
  newObject: () => change(() => history.addObjects([{}])),
  select: (object) => change(() => history.select(object.id)),
  change: (object, properties, merging) => change(() => history.change(object.id, properties, merging)),
  move: (object, places) => change(() => history.move(object.id, places)),
  remove: (object) => change(() => history.remove(object.id)),
  removeStep: (object, at) => change(() => history.removeStep(object, at)),
  undo: () => change(() => history.undo()),
  redo: () => change(() => history.redo()),
  goTo: (item) => { const place = placeOf(item); if (place) viewer.goTo(place) },
  tool: (name) => setTool(name),
  mode: (outside) => { isOutside = outside; setTool(tool) },
  toggleMode: () => wanted.mode(!isOutside),
  width: (value) => { width = Math.min(MOST_WIDTH, Math.max(1, value)); panel.width(width) },
  widthBy: (count) => wanted.width(width + count),
  threshold: (value) => threshold(value),
  thresholdBy: (steps) => threshold(history.active.threshold + steps * THRESHOLD_STEP),
  nextMask: (direction) => {
    if (image && !viewer.nextMask(answers.runs(history.active), direction)) panel.status(`No further slice has ${history.active.name}`)
  },
  clickHere: (alt) => viewer.crosshair && stroke('click', [viewer.crosshair], undefined, alt || isOutside),
  cancel: () => { viewer.stroke = undefined; viewer.redraw() },
  toDiameter: () => {
    const { diameters } = answers.of(history.active)
    viewer.goTo(diameters.longest.ends_ijk[0].map((value, axis) => (value + diameters.longest.ends_ijk[1][axis]) / 2))
  },
  clearRuler: () => { ruler = []; workspace.changed(); redraw() },
  download: (format) => attempt(() => download(format, saved())),
  session: () => panel.status(downloadSessions(saved())),
  store: () => attempt(() => store(saved())),
  saveLabel: () => attempt(async () => {
    const words = await saveLabel(saved())
    byId('saved-label').disabled = false
    await listStudies()
    return words
  }),
  help: () => byId('help-dialog').showModal(),
}

const panel = new Panel(wanted)
const viewer = new Viewer(byId('view'), {
  tool: () => ({ name: tool, width, isOutside: TOOLS[tool].prompts && isOutside }),
  stroke: (name, points, plane, outside) => stroke(name, points, plane, outside || (TOOLS[name].prompts && isOutside)),
  stroking: ({ tool: name, points, pane }) => { if (name === 'ruler') panel.status(`${measured(points, viewer.image).length_mm.toFixed(1)} mm, in ${pane.name} plane`) },
  moved: (ijk, value) => panel.location(ijk, value),
  aimed: () => ahead.moved(),
  windowed: (range) => wanted.windowed(range),
  drawn: () => {
    // For whoever measures the page: from the arrival of a mask until it is drawn.
    if (!isAnswerDrawn) performance.measure('mask', 'answered')
    isAnswerDrawn = true
  },
})
const render = new Render(document.querySelector('[data-pane="render"] canvas'))
Object.assign(parts, { panel, viewer, render })
const progress = new Progress(panel)
const history = new History('target')
const answers = new Answers(history, {
  shown: () => redraw(),
  progress: (object, line) => progress.at(object.id, line),
  settled: (object) => {
    progress.done(object.id)
    if (progress.isBusy || !image || !viewer.voxels?.isWhole) return
    panel.status(answers.of(history.active).voxels ? summary(history.active, answers.of(history.active)) : FIRST_WORDS)
  },
  done: (object, answer) => {
    progress.done(object.id, answer.encodingSeconds)
    panel.status(summary(object, answer))
    isAnswerDrawn = false
    redraw()
  },
  refused: (object, error) => {
    progress.done(object.id)
    panel.status('Ready')
    if (history.reject(object.id)) change(() => {})
    else redraw()
    panel.error(error.message)
  },
  lost: () => lost(),
})
const ahead = new Ahead(() => {
  const ijk = state.encodes_ahead && image && tool === 'click' && !history.active.locked && viewer.aim()
  const clicks = ijk && clicksWith(history.asked(history.active)?.prompts ?? [], ijk)
  return clicks && { image, clicks }
})
const workspace = new Workspace({
  content: () => ({ image: named, sha256: new URLSearchParams(image).get('sha256'), history: history.kept(), ruler }),
  kept: (isKept) => (isKept ? panel.kept('kept', 'Kept on the server') : waiting || panel.kept('keeping', 'Keeping')),
  lost: () => lost(),
  refused: (error) => { panel.kept('none', 'Not kept'); panel.error(error.message) },
})
listenForKeys(wanted)
window.addEventListener('popstate', () => location.reload())
await start()

async function start() {
  for (;;) {
    try {
      state = await server.get('api/state')
      break
    } catch (error) {
      panel.error(error.message)
      await server.reachable()
    }
  }
  panel.error('')
  panel.accepts(state)
  panel.width(width)
  setTool('click')
  wanted.window(0)
  history.target = state.target
  history.clear()
  redraw()
  await listStudies()
  const asked = Object.fromEntries(new URLSearchParams(location.search))
  if (asked.workspace) await attempt(() => goOn(asked.workspace))
  else if (asked.study) await open({ study: asked.study })
  else if (asked.upload) await open(asked)
}

/** Does what may be refused, and says how it went. */
async function attempt(work) {
  panel.error('')
  try {
    const words = await work()
    if (typeof words === 'string') panel.status(words)
    else if (byId('status').dataset.state === 'busy' && !history.objects.some((object) => answers.isPending(object))) panel.status('Ready')
  } catch (error) {
    panel.status('Ready')
    panel.error(error.message)
  }
}

async function listStudies() {
  try {
    panel.studies(await server.get('api/studies'))
    if (named?.study) byId('study').value = named.study
  } catch (error) {
    panel.error(error.message)
  }
}

async function openFiles(name, files) {
  const opening = ++openings
  panel.error('')
  panel.status(`Sending ${name}`, true, 0)
  try {
    const { name: sent, content, packing } = await packed(name, files)
    const path = `api/uploads?name=${encodeURIComponent(sent)}${packing === 'tar' ? '&packing=tar' : ''}`
    const { upload, series = [] } = await server.send(path, content, (share) => panel.status(`Sending ${name}`, true, share))
    if (opening !== openings) return
    const choices = series.map(({ uid, modality, images }) => [uid, `${modality}, ${images} slices (${uid})`])
    const chosen = series.length > 1 ? await panel.choose('Several series', `${name} holds ${series.length} series.`, choices) : undefined
    if (series.length > 1 && !chosen) panel.status('Ready')
    else await open(chosen ? { upload, series: chosen } : { upload })
  } catch (error) {
    if (opening !== openings) return
    panel.status('Ready')
    panel.error(error.message)
  }
}

/** Closes what is shown: another image is on its way, and the page shows one image or none. */
function close() {
  workspace.keep()
  image = named = undefined
  ruler = []
  clearTimeout(thresholdTimer)
  workspace.close()
  history.clear()
  answers.clear()
  progress.clear()
  ahead.stop()
  viewer.close()
  render.close()
  panel.closed()
  panel.kept('none')
  redraw()
}

/** Goes on with the work that the page's address names. */
async function goOn(id) {
  const { content, revision } = await workspace.read(id)
  await open(content.image, { content, revision, id })
}

async function open(asked, kept) {
  const opening = ++openings
  close()
  panel.error('')
  panel.status('Preparing the image', true)
  try {
    const query = new URLSearchParams(asked).toString()
    const fetched = (words, share) => opening === openings && panel.status(words, true, share)
    const found = await whileFetched(asked.study, server.get(`api/image?${query}`), fetched)
    if (opening !== openings) return
    if (kept && kept.content.sha256 !== found.sha256) throw new Error('the image has changed since this work was kept; choose it again')
    image = `${query}&sha256=${found.sha256}`
    named = asked
    shortName = (asked.study ?? found.name.replace(/\.(nii|nii\.gz|nrrd|mha|mhd|nhdr)$/i, '')).replaceAll('/', '_')
    answers.image = image
    if (kept) {
      history.restore(kept.content.history)
      ruler = kept.content.ruler ?? []
      workspace.goOn(kept.id, kept.revision)
      panel.kept('kept', 'Kept on the server')
    } else {
      address(asked, true)
    }
    viewer.open(found)
    panel.opened(found.name, asked.study, found.label_saved)
    byId('view').focus()
    answers.refresh()
    await loadVoxels(opening)
  } catch (error) {
    if (opening !== openings || error.name === 'AbortError') return
    if (error instanceof server.Unreachable && image) {
      lost()
      return
    }
    close()
    panel.status('Ready')
    panel.error(asked.study ? `${asked.study}: ${error.message}` : error.message)
  }
}

async function loadVoxels(opening) {
  const isQuiet = () => !history.objects.some((object) => answers.isPending(object))
  await viewer.load(image, (share) => {
    if (share < 1 && isQuiet()) panel.status('Loading the image', true, share)
    wanted.rangeGrew()
  })
  if (opening !== openings) return
  viewer.goTo(viewer.crosshair)
  if (isQuiet() && byId('status').dataset.state === 'busy') panel.status(FIRST_WORDS)
  if (render.isOn) await wanted.show3d()
}

/** The server does not answer: what was asked is asked again when it does. */
async function lost() {
  if (waiting) return
  waiting = true
  const opening = openings
  panel.status('The server does not answer; trying again', true)
  panel.kept('lost', 'Not kept yet: the server does not answer')
  await server.reachable()
  waiting = false
  if (opening !== openings || !image) return
  panel.status('Ready')
  answers.again()
  workspace.changed()
  if (!viewer.voxels.isWhole) loadVoxels(opening).catch(() => lost())
}

/** Changes the objects, asks for what follows from it, and keeps it. */
function change(work) {
  if (image) panel.error('')
  work()
  if (!image) return redraw()
  answers.refresh()
  workspace.changed()
}

/** What a stroke of a tool means. */
function stroke(name, points, plane, outside) {
  if (!image) return
  panel.error('')
  if (name === 'ruler') {
    ruler = [...ruler, measured(points, viewer.image)]
    workspace.changed()
    redraw()
    return
  }
  const { active } = history
  const prompts = history.asked(active)?.prompts.length ?? 0
  const object = { ...active, runs: answers.runs(active), prompts }
  const { item, refused } = itemOf(name, points, { image: viewer.image, plane, width, outside, object, accepts: state })
  if (refused) panel.error(refused)
  if (!item) return
  if (TOOLS[name].edits) answers.preview(active, item)
  change(() => history.add(item))
}

/** New objects that begin from masks: as a prompt, where the weights can correct it, or as if painted. */
function begin(masks) {
  const { shape_ijk: shape } = viewer.image
  const first = (runs) => (state.shapes ? { mask: { shape_ijk: shape, runs } } : { paint: runs })
  change(() => history.addObjects(masks.map(({ name, colour, runs }) => ({
    name: name ?? undefined, colour: colour ? hexadecimal(colour) : undefined, items: [first(runs)],
  }))))
}

function threshold(value) {
  const rounded = Number(Math.min(0.98, Math.max(0.02, value)).toFixed(2))
  const { active } = history
  if (active.locked) return
  history.change(active.id, { threshold: rounded }, 'threshold')
  showObjects(history, answers, wanted)
  clearTimeout(thresholdTimer)
  thresholdTimer = setTimeout(() => change(() => {}), THRESHOLD_PAUSE_MS)
}

function setTool(name) {
  if (TOOLS[name].shapes && !state.shapes) {
    panel.error(`${TOOLS[name].title} is off: ${state.shapes_refused}.`)
    return
  }
  tool = name
  isOutside &&= state.negative_clicks || state.shapes
  panel.tool(tool, isOutside)
  wanted.cancel()
}

function shownObjects() {
  return history.objects.filter(({ visible }) => visible).map((object) => ({ ...object, runs: answers.runs(object) }))
}

function saved() {
  return { image, name: shortName, history, answers, panel }
}

/** Shows what there is. */
function redraw() {
  showObjects(history, answers, wanted)
  const { active } = history
  const hasAny = history.objects.some((object) => answers.of(object).voxels > 0)
  panel.can({
    save: hasAny && history.objects.every((object) => answers.isCurrent(object)),
    undo: history.canUndo,
    redo: history.canRedo,
    copy: answers.runs(active).length > 0,
  })
  const objects = shownObjects()
  viewer.setObjects(objects)
  render.setObjects(objects)
  const { missed, prompts, diameters } = answers.of(active)
  const asked = history.asked(active)?.prompts ?? []
  viewer.setMarks({
    prompts: asked,
    missed: missed.map((at) => asked.indexOf(prompts[at])),
    diameters: active.visible ? diameters : undefined,
    ruler,
  })
}
