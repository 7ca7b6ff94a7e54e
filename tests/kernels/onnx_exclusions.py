"""Cases of ONNX's suite that the executor does not pass, and why. Data of onnx_cases.py; kept honest by its users:

a case listed here has to be refused with one clear line, or to give a result of another element type; one that passes,
and a pattern that no case matches, make the test fail.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase

# Reason → patterns of case names (fnmatch).
EXCLUDED: Mapping[str, tuple[str, ...]] = {
    "element type of 8, 4 or 2 bits that no listed model has (float8, float4, int4, int2 …)": (
        "test_cast*FLOAT8*",
        "test_cast*FLOAT4E2M1*",
        "test_cast*INT4*",
        "test_cast*INT2*",
        "test_*quantizelinear_e4m3fn*",
        "test_*quantizelinear_e5m2",
        "test_*quantizelinear_float4e2m1",
        "test_*quantizelinear_int[24]",
        "test_*quantizelinear_uint[24]",
    ),
    "float16 or bfloat16 result: all arithmetic and all outputs are float32": (
        "test_*_fp16_expanded*",
        "test_*_bf16_expanded",
        "test_cast*_FLOAT_to_FLOAT16*",
        "test_cast*_FLOAT_to_BFLOAT16*",
        "test_celu_*float16*",
        "test_einsum_*_bfloat16",
        "test_m[ai][xn]_float16",
        "test_mod_*float16*",
        "test_onehot_with_bfloat16_values",
        "test_range_*float16_type_positive_delta",
        "test_swiglu_float16_expanded",
        "test_attention_24_qk_matmul_output_mode3_softmax_precision_expanded",
        "test_attention_local_window_ext_cache_float16_mask_expanded",
    ),
    "float64: the cards concerned do not have it, or at a fraction of the speed": (
        "test_cast*_DOUBLE*",
        "test_attention_local_window_gqa_rank4_mask_expanded",
        "test_cumsum_[12]d",
        "test_cumsum_1d_exclusive",
        "test_cumsum_1d_reverse*",
        "test_cumsum_2d_[an]*",
        "test_einsum_transpose",
        "test_einsum_sum",
        "test_einsum_batch_diagonal",
        "test_einsum_inner_prod",
        "test_einsum_batch_matmul",
        "test_einsum_scalar",
        "test_flexattention_double_expanded_ver26",
        "test_m[ai][xn]_float64",
        "test_mod_*float64*",
        "test_reduce_log_sum_exp_do_not_keepdims_*",
        "test_reduce_log_sum_exp_keepdims_*",
        "test_reduce_log_sum_exp_default_axes_keepdims_*",
        "test_reduce_log_sum_exp_negative_axes_keepdims_*",
        "test_reduce_log_sum_exp_empty_set_expanded",
        "test_operator_add_*broadcast",
        "test_operator_addconstant",
    ),
    "strings": ("test_equal_string*",),
    "the shape of the result depends on the data: boxes are filtered by the device's own decoder": (
        "test_nonmaxsuppression_*",
    ),
    "training mode": ("test_training_dropout*", "test_batchnorm_*_training_mode"),
    "a sequence or an optional value as input": ("test_identity_sequence", "test_identity_opt"),
    "opset 1; models of opset 6 and later are read": ("test_not_[234]d",),
}
# Within those patterns, cases that pass.
STILL_PASS = ("test_training_dropout_zero_ratio*",)


def reason_for(name: str) -> str | None:
    """Why a case is left out, None when it has to pass."""
    if any(fnmatchcase(name, pattern) for pattern in STILL_PASS):
        return None
    found = (reason for reason, patterns in EXCLUDED.items() if any(fnmatchcase(name, each) for each in patterns))
    return next(found, None)
