#include "attention_mma.cuh"
#include "attention_mma_grad.cuh"

// Attention of BF16.
ATTENTIONS_MMA(bf16_bf16, bf16, bf16)
