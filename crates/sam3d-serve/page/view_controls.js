// What is wanted of the view alone: planes, window, opacity, zoom, slices. None of it changes the objects.
import { windowOf } from './panel.js'

/** The number of the preset that shows the full range. */
const FULL_RANGE = 6

/** The handlers. `parts` has viewer, panel and render once they are made, and masks(), the objects in 3D. */
export function viewControls(parts) {
  let opacity = 0.5
  let isMasked = true
  const showOpacity = () => {
    parts.viewer.setOpacity(isMasked ? opacity : 0)
    parts.panel.opacity(isMasked ? opacity : 0)
  }
  const showWindow = (number) => {
    parts.panel.window(parts.viewer.window, number)
    parts.render.setWindow(parts.viewer.window)
  }
  const show3d = async () => {
    const { viewer, panel, render } = parts
    if (!viewer.voxels?.isWhole) return
    const { said } = panel
    panel.status('Preparing the view in 3D', true)
    try {
      if (!render.isOn) await render.start()
      document.getElementById('show-3d').hidden = true
      await render.show(viewer.image, viewer.voxels, viewer.window)
      render.setObjects(parts.masks())
    } catch (error) {
      panel.error(`This browser cannot show 3D: ${error.message}`)
    }
    panel.status(said)
  }
  return {
    plane: (plane) => {
      parts.viewer.setLayout(plane)
      parts.panel.plane(plane)
      if (plane === 'render' && !parts.render.isOn) show3d()
    },
    show3d,
    window: (number) => {
      parts.viewer.setWindow(windowOf(number))
      showWindow(number)
    },
    windowed: (range) => {
      parts.viewer.setWindow(range)
      showWindow()
    },
    /** More of the image has arrived: its range may be wider. */
    rangeGrew: () => parts.viewer.isFullRange && showWindow(FULL_RANGE),
    opacity: (value) => {
      opacity = value
      isMasked = true
      showOpacity()
    },
    toggleMasks: () => {
      isMasked = !isMasked
      showOpacity()
    },
    zoom: (factor) => parts.viewer.zoom(factor),
    nextSlice: (count) => parts.viewer.nextSlice(count),
    step: (...steps) => parts.viewer.step(...steps),
  }
}
