// Pooling over up to three spatial axes, any layout: one work-item an output element.
// Sizes and strides as in conv_direct.cl, C channels. POOL 0: maximum, 1: average, 2: root of the mean square's sum (Lp).
// COUNT_PAD 1 counts the padding in an average (of the window clipped to the padded input, PE_* the pads behind).
// twin: onnx.reference.ReferenceEvaluator
__kernel void pool(PARAMS, const int size) {
  const int i = get_global_id(0);
  if (i >= size) return;
  DECODE
  const int base = x_off + n * XS_N + c * XS_C;
  float best = POOL == 0 ? -INFINITY : 0.0f;
  int count = 0;
  long where = -1;
  for (int kz = 0; kz < KD; kz++) {
    const int z = oz * SD + kz * DLD - PD;
    for (int ky = 0; ky < KH; ky++) {
      const int yy = oy * SH + ky * DLH - PH;
      for (int kx = 0; kx < KW; kx++) {
        const int xx = ox * SW + kx * DLW - PW;
        const bool inside = z >= 0 && z < XD && yy >= 0 && yy < XH && xx >= 0 && xx < XW;
        if (COUNT_PAD && z < XD + PED && yy < XH + PEH && xx < XW + PEW) count++;
        if (!inside) continue;
        const float v = x[base + z * XS_D + yy * XS_H + xx * XS_W];
#if POOL == 0
        if (v > best || v != v || where < 0) {
          best = v;
          where = INDEX_AT;
        }
#elif POOL == 1
        best += v;
#else
        best += pow(fabs(v), (float)LP);
#endif
        if (!COUNT_PAD) count++;
      }
    }
  }
#if POOL == 1
  best = count ? best / count : 0.0f;
#elif POOL == 2
  best = pow(best, 1.0f / LP);
#endif
  y0[y0_off + n * YS_N + c * YS_C + oz * YS_D + oy * YS_H + ox * YS_W] = (Y_TYPE)best;
#ifdef INDICES
  y1[y1_off + IS_AT] = where;
#endif
}
