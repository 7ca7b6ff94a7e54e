// Regions (rows of rois: x1, y1, x2, y2) of x (n, c, HI, WI) as maps of HO × WO; batch names the picture of each region.
// One work-item an element of y (c0 region, c1 channel, c2 row, c3 column). Each cell is sampled SAMPLES² times, bilinear
// (0: as often as it has pixels); the mean of the samples, or with LARGEST 1 the largest single weighted neighbour.
// HALF 1: pixel centres lie at halves. Global: size rounded up, local: any.
// twin: onnx.reference.ops.op_roi_align.RoiAlign
__kernel void roi_align(PARAMS, const int size) {
  const int i = get_global_id(0);
  if (i >= size) return;
  DECODE
  const int roi = rois_off + (ROI_AT), shift = x_off + (X_CHANNEL) + (int)batch[batch_off + (BATCH_AT)] * (X_BATCH);
  const float left = rois[roi] * SCALE - 0.5f * HALF, top = rois[roi + ROI_STEP] * SCALE - 0.5f * HALF;
  float width = rois[roi + 2 * (ROI_STEP)] * SCALE - 0.5f * HALF - left;
  float height = rois[roi + 3 * (ROI_STEP)] * SCALE - 0.5f * HALF - top;
  if (!HALF) {
    width = fmax(width, 1.0f);
    height = fmax(height, 1.0f);
  }
  const float cell_h = height / HO, cell_w = width / WO;
  const int rows = SAMPLES ? SAMPLES : (int)ceil(cell_h), columns = SAMPLES ? SAMPLES : (int)ceil(cell_w);
  float total = LARGEST ? -INFINITY : 0.0f;
  for (int r = 0; r < rows; r++) {
    const float v = top + c2 * cell_h + (r + 0.5f) * cell_h / rows;
    for (int c = 0; c < columns; c++) {
      const float u = left + c3 * cell_w + (c + 0.5f) * cell_w / columns;
      float parts[4] = {0.0f, 0.0f, 0.0f, 0.0f};
      if (v >= -1.0f && v <= HI && u >= -1.0f && u <= WI) {
        const float y_at = clamp(v, 0.0f, HI - 1.0f), x_at = clamp(u, 0.0f, WI - 1.0f);
        const int y0 = (int)y_at, x0 = (int)x_at, y1 = min(y0 + 1, HI - 1), x1 = min(x0 + 1, WI - 1);
        const float fy = y_at - y0, fx = x_at - x0;
        parts[0] = (1.0f - fy) * (1.0f - fx) * x[shift + y0 * (X_ROW) + x0 * (X_COLUMN)];
        parts[1] = (1.0f - fy) * fx * x[shift + y0 * (X_ROW) + x1 * (X_COLUMN)];
        parts[2] = fy * (1.0f - fx) * x[shift + y1 * (X_ROW) + x0 * (X_COLUMN)];
        parts[3] = fy * fx * x[shift + y1 * (X_ROW) + x1 * (X_COLUMN)];
      }
      if (LARGEST) total = fmax(total, fmax(fmax(parts[0], parts[1]), fmax(parts[2], parts[3])));
      else total += parts[0] + parts[1] + parts[2] + parts[3];
    }
  }
  const int count = max(rows * columns, 1);
  y[y_off + (Y_AT)] = LARGEST ? (rows * columns > 0 ? total : 0.0f) : total / count;
}
