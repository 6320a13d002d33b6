# The NCCL communicator, for the build with the toolkit (src/comm/CMakeLists.txt) and for the emulation (tests/emulation).
list(APPEND MPIBERT_CUDA_KERNELS ${CMAKE_CURRENT_LIST_DIR}/tree_sum.cu)
list(APPEND MPIBERT_CUDA_HOST ${CMAKE_CURRENT_LIST_DIR}/nccl_communicator.cpp ${CMAKE_CURRENT_LIST_DIR}/node_reduction.cpp)
