// A detector's raw output → its boxes after greedy NMS within each class, best first: two launches, one small read.
//
// raw: float, at raw_off + n·STRIDE_N + i·STRIDE_BOX + v·STRIDE_VALUE for value v of box i of input n. A box: centre x,
// centre y, width, height, objectness when OBJECTNESS, then CLASSES scores. GRID: centre and size stand in cells of the
// grids of 8, 16 and 32 pixels over GRID_W × GRID_H pixels, size as a logarithm (YOLOX as published).
// heads: int (n, 4): candidates, bad values, kept, unused; the first two are zero before `candidates`, and again after
// `suppress`. found: (n, MOST) candidates of 8 words (score, class, index, four corners x0 y0 x1 y1, unused;
// floats as their bits).
// result: (n, 4 + 6·KEPT) words: candidates, bad values, kept, unused, then kept boxes: four corners, score, class.
// twin: edge.inference.postprocess.boxes_from_rows or boxes_above, then nms_by_class

#pragma OPENCL FP_CONTRACT OFF  // a fused multiply-add rounds once where NumPy rounds twice

#define WORDS ((MOST + 31) / 32)

#if GRID
// Left, top and stride of a cell: the fine grid first, each row by row.
static float3 cell_of(int i) {
    int stride = 8;
    while (stride < 32 && i >= (GRID_W / stride) * (GRID_H / stride)) {
        i -= (GRID_W / stride) * (GRID_H / stride);
        stride *= 2;
    }
    const int across = GRID_W / stride;
    return (float3)(i % across * stride, i / across * stride, stride);
}
#endif

// Global size: (≥ boxes, n); any local size of depth 1. Order of candidates is by chance, `suppress` sorts them.
//   score = max_c objectness · score_c; a candidate when score ≥ least; x0 = x − w/2 …
__kernel void candidates(__global const float *restrict raw, const int raw_off, const int boxes, const float least,
                         __global int *restrict heads, __global int *restrict found) {
    const int i = get_global_id(0), n = get_global_id(1);
    if (i >= boxes) return;
    __global const float *box = raw + raw_off + n * STRIDE_N + i * STRIDE_BOX;
    __global int *head = heads + 4 * n;
    float objectness = 1.0f;
    if (OBJECTNESS) {
        objectness = box[4 * STRIDE_VALUE];
        if (!isfinite(objectness)) atomic_inc(head + 1);
        if (!(objectness >= least)) return;
    }
    float best = -INFINITY;
    int class = 0;
    bool bad = false;
    for (int c = 0; c < CLASSES; c++) {
        float score = box[(4 + OBJECTNESS + c) * STRIDE_VALUE];
        if (OBJECTNESS) score *= objectness;
        bad = bad || isnan(score);
        if (score > best) {
            best = score;
            class = c;
        }
    }
    if (bad || isinf(best)) atomic_inc(head + 1);
    if (!(best >= least)) return;
    float4 v = (float4)(box[0], box[STRIDE_VALUE], box[2 * STRIDE_VALUE], box[3 * STRIDE_VALUE]);
#if GRID
    const float3 cell = cell_of(i);
    v = (float4)(v.xy * cell.z + cell.xy, exp(v.zw) * cell.z);
#endif
    if (any(!isfinite(v))) atomic_inc(head + 1);
    const int slot = atomic_inc(head);
    if (slot >= MOST) return;  // whoever reads the count sees that there were too many
    const float2 half_size = v.zw / 2.0f;
    const int4 corners = as_int4((float4)(v.xy - half_size, v.xy + half_size));
    vstore8((int8)(as_int(fmin(best, 1.0f)), class, i, corners, 0), n * MOST + slot, found);
}

static bool overlaps(const float4 a, const float4 b, const float iou) {
    const float2 sides = fmax(fmin(a.zw, b.zw) - fmax(a.xy, b.xy), 0.0f);
    const float shared = sides.x * sides.y;
    const float all = (a.z - a.x) * (a.w - a.y) + (b.z - b.x) * (b.w - b.y) - shared;
    return !(shared <= iou * all);  // multiplied out, so that two boxes without an area need no division by zero
}

// Global size: (GROUP, n), local size: (GROUP, 1): one group an input. Ranks by counting, then box after box, best
// first: whoever overlaps the box that is kept loses its bit.
//   rank_i = #{j: score_j > score_i or (score_j = score_i and index_j < index_i)}
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void suppress(
    __global int *restrict heads, __global const int *restrict found, const float iou, __global int *restrict result) {
    __local int order[MOST];
    __local uint alive[WORDS];
    __local int next;
    const int me = get_local_id(0), n = get_group_id(1);
    __global const int *mine = found + n * MOST * 8;
    __global int *out = result + n * (4 + 6 * KEPT);
    const int wanted = heads[4 * n], bad = heads[4 * n + 1];
    const int count = wanted > MOST ? 0 : wanted;
    for (int w = me; w < WORDS; w += GROUP)
        alive[w] = count >= 32 * w + 32 ? ~0u : count > 32 * w ? (1u << (count - 32 * w)) - 1 : 0;
    for (int i = me; i < count; i += GROUP) {
        const float score = as_float(mine[8 * i]);
        const int index = mine[8 * i + 2];
        int rank = 0;
        for (int j = 0; j < count; j++) {
            const float other = as_float(mine[8 * j]);
            rank += other > score || (other == score && mine[8 * j + 2] < index);
        }
        order[rank] = i;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    int kept = 0, word = 0;
    while (kept < KEPT) {
        if (me == 0) {
            while (word < WORDS && alive[word] == 0) word++;
            next = -1;
            if (word < WORDS) {
                const uint bits = alive[word], lowest = bits & (0u - bits);
                alive[word] = bits ^ lowest;
                next = 32 * word + 31 - clz(lowest);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        const int best = next;
        if (best < 0) break;
        const int8 box = vload8(order[best], mine);
        const float4 corners = as_float4((int4)(box.s34, box.s56));
        for (int i = best + 1 + me; i < count; i += GROUP) {
            if (!(alive[i / 32] >> (i % 32) & 1)) continue;
            const int8 other = vload8(order[i], mine);
            if (other.s1 == box.s1 && overlaps(corners, as_float4((int4)(other.s34, other.s56)), iou))
                atomic_and(alive + i / 32, ~(1u << (i % 32)));
        }
        if (me == 0) {
            vstore4((int4)(box.s34, box.s56), 0, out + 4 + 6 * kept);
            vstore2(box.s01, 0, out + 8 + 6 * kept);
        }
        kept++;
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (me == 0) {
        vstore4((int4)(wanted, bad, kept, 0), 0, out);
        vstore2((int2)(0), 0, heads + 4 * n);
    }
}
