// Measures the page on a large volume: the first picture, the image complete, a mask's update after its answer, and the memory of the
// tab. Prints JSON. Not a test: a machine's numbers are its own.
//
// The scene: the study, a voxel to click, the threshold.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { address, browser, idle, moveTo, page, scene, shot } from './browser.mjs'

await page.goto(address)
await page.waitForFunction(() => document.getElementById('study').options.length > 1)
// The browser's own clock tells when a picture with something in it was drawn, and when a mask's answer and its drawing were.
await page.evaluate(() => {
  globalThis.times = {}
  const canvas = document.querySelector('[data-pane="axial"] canvas')
  const look = () => {
    const { width, height } = canvas
    const pixels = canvas.getContext('2d').getImageData(width >> 1, height >> 1, 20, 20).data
    if (pixels.some((value, at) => at % 4 !== 3 && value > 0)) times.picture ??= performance.now()
    else requestAnimationFrame(look)
  }
  document.getElementById('study').addEventListener('change', () => {
    times.chosen = performance.now()
    requestAnimationFrame(look)
  }, { capture: true })
})
await page.selectOption('#study', scene.study)
await page.waitForFunction(() => document.getElementById('status').textContent.startsWith('Click'), undefined, { timeout: 300000 })
await page.evaluate(() => { times.complete = performance.now() })
await page.fill('#threshold', String(scene.threshold))
for (const [axis, name] of ['sagittal', 'coronal', 'axial'].entries()) {
  await page.fill(`[data-pane="${name}"] input[type="number"]`, String(scene.click[axis]))
}
await shot('large.png')
const updates = []
for (let click = 0; click < 3; click += 1) {
  await page.focus('#view')
  await page.evaluate((count) => {
    const measured = performance.getEntriesByName('mask').length
    globalThis.wanted = measured + 1
    globalThis.count = count
  }, click + 1)
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => performance.getEntriesByName('mask').length >= wanted, undefined, { timeout: 300000 })
  await idle()
  updates.push(await page.evaluate(() => performance.getEntriesByName('mask').at(-1).duration))
  await page.keyboard.press('ArrowLeft')
}
await shot('large.png')
const steps = await page.evaluate(async () => {
  const durations = []
  for (let step = 0; step < 20; step += 1) {
    const start = performance.now()
    document.getElementById('view').dispatchEvent(new KeyboardEvent('keydown', { key: 'PageUp', bubbles: true }))
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
    durations.push(performance.now() - start)
  }
  return durations.sort((a, b) => a - b)
})
const times = await page.evaluate(() => times)
// The tab is the browser's process with the most memory of its own.
const processes = execFileSync('ps', ['-eo', 'pid,args']).toString().split('\n').filter((line) => line.includes('--type=renderer'))
const memory = processes.map((line) => {
  const status = readFileSync(`/proc/${line.trim().split(' ')[0]}/status`, 'utf8')
  return { now: Number(status.match(/VmRSS:\s+(\d+)/)[1]) / 1024, peak: Number(status.match(/VmHWM:\s+(\d+)/)[1]) / 1024 }
}).sort((a, b) => b.peak - a.peak)[0]
const seconds = (from, to) => Number(((times[to] - times[from]) / 1000).toFixed(2))
console.log(JSON.stringify({
  firstPictureSeconds: seconds('chosen', 'picture'),
  completeSeconds: seconds('chosen', 'complete'),
  maskUpdateMs: updates.map(Math.round),
  sliceMs: { median: Math.round(steps[10]), most: Math.round(steps[19]) },
  tabMiB: { now: Math.round(memory.now), peak: Math.round(memory.peak) },
}))
await browser.close()
