# Sources of the CUDA backend, for the build with the toolkit (CMakeLists.txt) and for the emulation (tests/emulation).
# cudnn_attention.cpp or no_cudnn.cpp is for each to add. .cu: kernels and what starts them, one file an operation; .cpp: what calls the runtime and the libraries only.
set(MPIBERT_CUDA_KERNELS
  activation_backward.cu
  adam_step.cu
  add.cu
  attention.cu
  attention_distance.cu
  attention_mma_backward.cu
  attention_mma_forward.cu
  cast.cu
  column_sum.cu
  cross_entropy.cu
  dropout.cu
  embedding.cu
  lamb.cu
  layer_norm.cu
  matmul_epilogue.cu
  ragged_layout.cu
  rows.cu
  square_sums.cu
  squared_error.cu
  step_decision.cu)
set(MPIBERT_CUDA_HOST cards.cpp cuda_backend.cpp cuda_check.cpp matmul.cpp matmul_measurement.cpp matmul_plan.cpp matmul_table.cpp matmul_ways.cpp upload_ring.cpp)
list(TRANSFORM MPIBERT_CUDA_KERNELS PREPEND "${CMAKE_CURRENT_LIST_DIR}/")
list(TRANSFORM MPIBERT_CUDA_HOST PREPEND "${CMAKE_CURRENT_LIST_DIR}/")
