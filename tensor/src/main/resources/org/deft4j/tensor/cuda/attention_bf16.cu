#include "attention_mma.cuh"
#include "attention_mma_grad.cuh"

// Attention with factors of BF16.
ATTENTIONS_MMA(bf16)
