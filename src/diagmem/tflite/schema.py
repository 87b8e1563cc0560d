"""TFLite's schema, as far as a planner reads it: operators, and what options they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from diagmem.tflite.elements import ELEMENT_BYTES, Option
from diagmem.tflite.flat import FlatTable

IDENTIFIER = b"TFL3"
VERSION = 3

DTYPES = tuple(ELEMENT_BYTES)

OPERATORS = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE
EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D
LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU
RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH
CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD
UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB
DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP
TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX
MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV
SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN
FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK
REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE
RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL
REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE
MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5
SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES
CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE
HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE
READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE
RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD
UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST
BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE
STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP
STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE
STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE
STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE
STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT
STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT
STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA
STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE
STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW
STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
""".split()
"""By TFLite's number."""

_OPTIONS = """
1 Conv2D padding:padding stride_w stride_h fused_activation_function:activation
    dilation_w_factor=1 dilation_h_factor=1 quantized_bias_type:dtype
2 DepthwiseConv2D padding:padding stride_w stride_h depth_multiplier
    fused_activation_function:activation dilation_w_factor=1 dilation_h_factor=1
5 Pool2D padding:padding stride_w stride_h filter_width filter_height
    fused_activation_function:activation
6 SVDF rank fused_activation_function:activation asymmetric_quantize_inputs:?
7 RNN fused_activation_function:activation asymmetric_quantize_inputs:?
8 FullyConnected fused_activation_function:activation weights_format:b keep_num_dims:?
    asymmetric_quantize_inputs:? quantized_bias_type:dtype quant_spec:B*
9 Softmax beta:f
10 Concatenation axis fused_activation_function:activation
11 Add fused_activation_function:activation pot_scale_int16:?=1
12 L2Norm fused_activation_function:activation
13 LocalResponseNormalization radius bias:f alpha:f beta:f
14 LSTM fused_activation_function:activation cell_clip:f proj_clip:f kernel_type:b
    asymmetric_quantize_inputs:?
15 ResizeBilinear - - align_corners:? half_pixel_centers:?
17 Reshape new_shape:i*
19 SpaceToDepth block_size
21 Mul fused_activation_function:activation
23 Gather axis batch_dims
27 Reducer keep_dims:?
28 Sub fused_activation_function:activation pot_scale_int16:?=1
29 Div fused_activation_function:activation
30 Squeeze squeeze_dims:i*
31 SequenceRNN time_major:? fused_activation_function:activation asymmetric_quantize_inputs:?
32 StridedSlice begin_mask end_mask ellipsis_mask new_axis_mask shrink_axis_mask offset:?
35 Split num_splits
37 Cast in_data_type:dtype out_data_type:dtype
40 ArgMax output_type:dtype
49 TransposeConv padding:padding stride_w stride_h fused_activation_function:activation
    quantized_bias_type:dtype
50 SparseToDense validate_indices:?
55 Shape out_type:dtype
57 ArgMin output_type:dtype
58 FakeQuant min:f max:f num_bits narrow_range:?
59 Pack values_count axis
61 OneHot axis
64 Unpack num axis
69 BidirectionalSequenceLSTM fused_activation_function:activation cell_clip:f proj_clip:f
    merge_outputs:? time_major:?=1 asymmetric_quantize_inputs:?
70 BidirectionalSequenceRNN time_major:? fused_activation_function:activation merge_outputs:?
    asymmetric_quantize_inputs:?
71 UnidirectionalSequenceLSTM fused_activation_function:activation cell_clip:f proj_clip:f
    time_major:? asymmetric_quantize_inputs:? diagonal_recurrent_tensors:?
74 ResizeNearestNeighbor align_corners:? half_pixel_centers:?
75 LeakyRelu alpha:f
77 MirrorPad mode:mirror
79 SplitV num_splits
80 Unique idx_out_type:dtype=2
87 ReverseSequence seq_dim batch_dim
94 DepthToSpace block_size
101 BatchMatMul adj_x:? adj_y:? asymmetric_quantize_inputs:?
102 Cumsum exclusive:? reverse:?
106 Conv3D padding:padding stride_d stride_w stride_h fused_activation_function:activation
    dilation_d_factor=1 dilation_w_factor=1 dilation_h_factor=1
114 Random seed:q seed2:q
116 Gelu approximate:?
"""
"""Option tables: number in the union, name, fields by slot.

``:kind`` is int32 if it is missing; else a type as `struct` spells it, with ``*`` for a
vector, or a list of words.  ``=1`` is a default other than 0, ``-`` a field that is gone.
"""

_WORDS: Mapping[str, tuple[str, ...]] = {
    "padding": ("SAME", "VALID"),
    "activation": ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT"),
    "mirror": ("REFLECT", "SYMMETRIC"),
    "dtype": DTYPES,
}


class _Field(NamedTuple):
    """A field of an option table."""

    slot: int
    name: str
    kind: str
    default: int

    def value(self, table: FlatTable) -> Option:
        if self.kind.endswith("*"):
            return table.numbers(self.slot, self.kind[0])
        if self.kind not in _WORDS:
            return table.scalar(self.slot, self.kind, self.default)
        number, words = table.integer(self.slot, "b", self.default), _WORDS[self.kind]
        if not 0 <= number < len(words):
            table.fail(f"{self.name} {number}", f"0 to {len(words) - 1}")
        return words[number]


def _field(slot: int, text: str) -> _Field:
    text, _, default = text.partition("=")
    name, _, kind = text.partition(":")
    return _Field(slot, name, kind or "i", int(default or 0))


def _tables(text: str) -> dict[int, tuple[_Field, ...]]:
    rows = [line.split() for line in text.replace("\n    ", " ").strip().splitlines()]
    return {
        int(number): tuple(_field(slot, word) for slot, word in enumerate(words) if word != "-")
        for number, _, *words in rows
    }


_FIELDS = _tables(_OPTIONS)


def options(kind: int, table: FlatTable | None) -> dict[str, Option]:
    """The fields of an operator's option table; none of a kind that is not known here."""
    if table is None:
        return {}
    return {field.name: field.value(table) for field in _FIELDS.get(kind, ())}
