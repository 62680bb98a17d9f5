// Uses every tool on the page. The test `page_tools` compares what is saved with the command line's masks.
//
// The scene: the study, the middle of a bright ball, the threshold, a label file, a folder and a zip of two DICOM series.
import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import {
  address, allowed, answered, clicks, draw, drawn, end, idle, location, middles, moveTo, openStudy, page, saved, scene, shot, textOf,
  volume, volumes,
} from './browser.mjs'

const action = (row, what) => page.click(`#objects li:nth-child(${row}) [data-action="${what}"]`)
const voxels = async () => Number((await textOf('measurements')).match(/(\d+) voxels/)?.[1] ?? 0)
const names = () => page.$$eval('#objects input[type="text"]', (items) => items.map((item) => item.value))

await page.goto(address)
await openStudy(scene.study)
await page.fill('#threshold', String(scene.threshold))
await moveTo(scene.ball)
await drawn()
// Where the ball is in the axial plane, as parts of its width and height: the crosshair is on it.
const pane = await page.locator('[data-pane="axial"] canvas').boundingBox()
await page.keyboard.press('Enter')
await answered(1)
const [[x, y]] = await middles('[data-pane="axial"] .marks circle.positive:not(.halo)')
const at = (dx, dy) => [(x - pane.x) / pane.width + dx, (y - pane.y) / pane.height + dy]
const clicked = await voxels()
assert.ok(clicked > 0)

// The diameters are drawn on their slice, with their lengths.
await page.click('#to-diameter')
await drawn()
assert.equal(await page.locator('[data-pane="axial"] .marks line.diameter:not(.halo)').count(), 2)
assert.match(await textOf('measurements'), /Longest axial diameter1\d\.\d mmPerpendicular1\d\.\d mm/)
await moveTo(scene.ball)

// Box, lasso and scribble, inside and outside: each is one prompt and has its own answer.
const shapes = [
  ['b', [at(-0.1, -0.1), at(0.1, 0.1)], '+ box'],
  ['l', [at(-0.1, 0), at(0, -0.12), at(0.1, 0), at(0, 0.12)], '+ lasso'],
  ['f', [at(-0.05, 0), at(0.05, 0.02)], '+ scribble'],
]
for (const [number, [key, places, words]] of shapes.entries()) {
  await page.keyboard.press(key)
  await draw('axial', places)
  await answered(number + 2)
  assert.equal((await clicks()).at(-1), words)
}
await page.keyboard.press('x')
await draw('axial', [at(-0.15, 0.2), at(-0.05, 0.22)])
await answered(5)
assert.equal((await clicks()).at(-1), '− scribble')
await page.keyboard.press('x')
await drawn()
for (const mark of ['rect.box', 'polygon.lasso', 'polyline.scribble.negative']) {
  assert.ok(await page.locator(`[data-pane="axial"] .marks ${mark}`).count() > 0, mark)
}
await shot('prompts.png')
const drawnVoxels = await voxels()

// Brush and eraser: what they change is exact, undone and redone.
await page.keyboard.press('p')
await draw('axial', [at(-0.25, -0.25), at(-0.2, -0.25)])
await answered(6)
const [, painted] = (await clicks()).at(-1).match(/^painted (\d+) voxels$/)
assert.equal(await voxels(), drawnVoxels + Number(painted))
await page.keyboard.press('e')
await page.keyboard.press('.')
await draw('axial', [at(-0.27, -0.25), at(-0.18, -0.25)])
await answered(7)
assert.equal(await voxels(), drawnVoxels)
await page.keyboard.press('u')
await answered(6)
assert.equal(await voxels(), drawnVoxels + Number(painted))
await page.keyboard.press('Control+z')
await answered(5)
assert.equal(await voxels(), drawnVoxels)
await page.keyboard.press('Control+y')
await answered(6)
assert.equal(await voxels(), drawnVoxels + Number(painted))
await saved('.download[data-format=".nii.gz"]', 'painted.nii.gz')
await page.keyboard.press('u')
await answered(5)
await saved('.download[data-format=".nii.gz"]', 'mask.nii.gz')
await saved('#session', 'session.json')

// One prompt of many is deleted: the answer is that of the others.
for (const step of [5, 4, 3, 2]) await page.click(`#clicks li:nth-child(${step}) .delete-step`)
await answered(1)
assert.equal(await voxels(), clicked)
await page.keyboard.press('k')

// A click that the mask does not contain is said and marked.
await moveTo([2, 2, 2])
await page.keyboard.press('Enter')
await answered(2)
assert.match(await textOf('status'), /contradicts the click at 2, 2, 2/)
assert.match(await page.textContent('#clicks li.missed'), /not in the mask/)
await page.keyboard.press('u')
await answered(1)

// Several objects: copied, named, hidden, outlined, locked, put in another order, deleted, and all of it undone.
await page.click('#copy-object')
await answered(1)
assert.deepEqual(await clicks(), [`mask of ${clicked} voxels`])
assert.equal(await voxels(), clicked)
await page.fill('#objects li.active input[type="text"]', 'copy')
await page.keyboard.press('Enter')
const before = await volumes()
await action(1, 'hide')
assert.equal(await page.locator('#objects li.hidden').count(), 1)
await action(2, 'outline')
await action(2, 'lock')
await moveTo(scene.ball)
await page.keyboard.press('Enter')
assert.match(await textOf('error'), /copy is locked/)
assert.equal(await page.isEnabled('#objects li:nth-child(2) [data-action="delete"]'), false)
await action(2, 'lock')
await action(2, 'up')
assert.deepEqual(await names(), ['copy', 'lesion'])
await action(2, 'delete')
assert.deepEqual(await names(), ['copy'])
for (const expected of [['copy', 'lesion'], ['lesion', 'copy']]) {
  await page.keyboard.press('u')
  assert.deepEqual(await names(), expected)
}
assert.deepEqual(await volumes(), before)
await action(1, 'hide')

// Both objects overlap: NIfTI is not flattened in silence, and seg.nrrd keeps both.
await page.click('.download[data-format=".nii.gz"]')
assert.match(await textOf('choice-text'), new RegExp(`${clicked} voxels belong to lesion and to copy`))
await page.click('#choices button[value=""]')
await idle()
await page.click('.download[data-format=".nii.gz"]')
await saved('#choices button[value=".seg.nrrd"]', 'both.seg.nrrd')

// The label is kept on the server without a download, and the list says so; it is there again to begin from, as is a file.
assert.equal(await page.isEnabled('#saved-label'), false)
await page.click('#save-label')
await page.waitForFunction(() => document.getElementById('status').textContent.startsWith('Label saved: 2 objects'))
assert.match(await page.textContent(`#study option[value="${scene.study}"]`), /saved/)
await page.click('#saved-label')
await page.waitForFunction(() => document.querySelectorAll('#objects li').length === 4)
await idle()
assert.deepEqual((await names()).slice(2), ['lesion', 'copy'])
await page.setInputFiles('#mask-file', scene.label)
await page.waitForFunction(() => document.querySelectorAll('#objects li').length === 5)
await idle()
assert.equal(await voxels(), scene.labelVoxels)
await page.setInputFiles('#mask-file', scene.folder + '/1.2.826.1-0.dcm')
await page.waitForFunction(() => document.getElementById('error').textContent !== '')
assert.equal(await page.locator('#objects li').count(), 5)

// The next slice with the mask, zoom, the slider's number, numbers of the window, the ruler.
await moveTo([0, 0, 0])
await page.keyboard.press('a')
// The file's slices run from head to foot, and the next one is towards the head.
await page.keyboard.press('Shift+J')
assert.equal((await location()).ijk[2], scene.labelSlice)
await page.fill('[data-pane="axial"] input[type="number"]', '12')
assert.equal((await location()).ijk[2], 12)
await page.fill('#level', '50')
await page.fill('#width-hu', '200')
await page.keyboard.press('Tab')
assert.equal(await page.inputValue('#window'), 'custom')
await page.keyboard.press('r')
await draw('axial', [[0.4, 0.5], [0.6, 0.5]])
await drawn()
const length = async () => parseFloat(await page.textContent('[data-pane="axial"] .marks text.ruler'))
const measured = await length()
assert.ok(measured > 5, `${measured} mm`)
await page.click('#zoom-in')
await page.click('#zoom-in')
await drawn()
const ends = await page.$eval('[data-pane="axial"] .marks line.ruler', (line) => line.getAttribute('x2') - line.getAttribute('x1'))
const wide = await page.locator('[data-pane="axial"] canvas').boundingBox().then((box) => 0.2 * box.width)
assert.ok(Math.abs(ends / wide - 1.25 ** 2) < 0.02, `${ends} of ${wide} pixels`)
assert.equal(await length(), measured)
await page.keyboard.press('g')
await draw('axial', [[0.5, 0.5], [0.6, 0.6]])
await page.keyboard.press('0')
await page.keyboard.press('v')
await shot('tools.png')

// 3D is loaded when it is asked for.
await page.click('#show-3d')
await page.waitForFunction(() => document.getElementById('show-3d').hidden)
await idle()
assert.equal(await textOf('error'), '')

// A folder and a zip with two DICOM series: one is chosen.
for (const [input, source, slices] of [['#folder', scene.folder, 8], ['#open', scene.zip, 5]]) {
  await page.setInputFiles(input, source)
  await page.waitForSelector('#choice-dialog[open]')
  await page.click(`#choices button:has-text("${slices} slices")`)
  await page.waitForFunction((last) => document.querySelector('[data-pane="axial"] input').max === String(last), slices - 1)
  await page.waitForFunction(() => document.getElementById('status').textContent.startsWith('Click'))
  await moveTo([12, 10, slices >> 1])
  assert.ok((await location()).value > 100)
}

// A series of an archive: how far it has been fetched is told, and the objects are stored beside it. The answers are the archive's as the
// server gives them; the server itself is tried with archives elsewhere.
await page.route('**/api/studies', async (route) => {
  const list = await (await route.fetch()).json()
  await route.fulfill({ json: list.map((study) => (study.id === scene.study ? { ...study, name: 'CT Thorax', is_archived: true } : study)) })
})
await page.goto(address)
await page.waitForFunction(() => document.getElementById('study').textContent.includes('CT Thorax'))
await page.route('**/api/state', (route) => route.fulfill({ json: { fetching: [{ series: scene.study, instances: 3, expected: 12, bytes: 5 << 20 }] } }))
let isFetched
const fetched = new Promise((resolve) => { isFetched = resolve })
await page.route('**/api/image?*', (route) => fetched.then(() => route.continue()))
await page.selectOption('#study', scene.study)
await page.waitForFunction(() => document.getElementById('status').textContent === 'Fetching the series: 3 of 12 images, 5 MiB')
assert.equal(await page.$eval('#progress', (element) => element.value), 0.25)
isFetched()
await page.waitForFunction(() => document.getElementById('status').textContent.startsWith('Click'))
await page.unroute('**/api/state')
await page.fill('#threshold', String(scene.threshold))
await moveTo(scene.ball)
await page.keyboard.press('Enter')
await answered(1)
let stored
await page.route('**/api/archive/store?*', (route) => {
  stored = { query: new URL(route.request().url()).searchParams, body: route.request().postDataJSON() }
  return route.fulfill({ json: { stored: '1.2.3' } })
})
await page.click('#store')
await page.waitForFunction(() => document.getElementById('status').textContent === 'Stored in the archive: 1 object')
assert.equal(stored.query.get('study'), scene.study)
assert.equal(stored.body.format, '.dcm')
assert.equal(stored.body.objects.length, 1)
await page.unrouteAll()
await page.goto(address)
await openStudy(scene.study)
assert.ok(await page.isHidden('#store'), 'a study of the server is in no archive')

// Behind a proxy that knows the server under another path.
const prefix = '/radiology/sam3d/'
const target = new URL(address)
const proxy = createServer((asked, answer) => {
  if (!asked.url.startsWith(prefix)) {
    answer.writeHead(404).end()
    return
  }
  const path = `/${asked.url.slice(prefix.length)}`
  const onward = request({ host: target.hostname, port: target.port, path, method: asked.method, headers: asked.headers }, (found) => {
    answer.writeHead(found.statusCode, found.headers)
    found.pipe(answer)
  })
  asked.pipe(onward)
})
await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve))
const outside = `http://127.0.0.1:${proxy.address().port}${prefix}`
allowed.splice(0, allowed.length, outside)
await page.goto(outside)
await openStudy(scene.study)
await page.fill('#threshold', String(scene.threshold))
await moveTo(scene.ball)
await page.keyboard.press('Enter')
await answered(1)
assert.equal(await voxels(), clicked)
await page.waitForFunction(() => document.getElementById('kept').dataset.state === 'kept')
assert.ok(await page.evaluate(() => new URLSearchParams(window.location.search).has('workspace')))
await page.reload()
await answered(1)
await page.waitForFunction((count) => document.getElementById('measurements').textContent.includes(`${count} voxels`), clicked)
proxy.closeAllConnections()
proxy.close()

await end({ clicked, painted: Number(painted), volume: await volume() }, /the server responded with a status of (400|404)/)
