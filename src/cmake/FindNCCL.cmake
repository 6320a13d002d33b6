# Finds NCCL by its header and library, beside the CUDA Toolkit or where CMAKE_PREFIX_PATH says, and makes the target NCCL::nccl.
find_package(CUDAToolkit REQUIRED)
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_library(NCCL_LIBRARY nccl HINTS ${CUDAToolkit_LIBRARY_DIR})

set(NCCL_VERSION "")
if(EXISTS "${NCCL_INCLUDE_DIR}/nccl.h")
  foreach(part MAJOR MINOR PATCH)
    file(STRINGS "${NCCL_INCLUDE_DIR}/nccl.h" line REGEX "^#define NCCL_${part} ")
    string(REGEX REPLACE "[^0-9]" "" digits "${line}")
    list(APPEND NCCL_VERSION_PARTS "${digits}")
  endforeach()
  list(JOIN NCCL_VERSION_PARTS "." NCCL_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(NCCL REQUIRED_VARS NCCL_LIBRARY NCCL_INCLUDE_DIR VERSION_VAR NCCL_VERSION
                                  REASON_FAILURE_MESSAGE "The CUDA build (MPIBERT_CUDA=ON) joins cards with it. Install it (apt-get install libnccl-dev, from NVIDIA's repository), or say where it is: -DNCCL_INCLUDE_DIR=... -DNCCL_LIBRARY=...")
if(NCCL_FOUND AND NOT TARGET NCCL::nccl)
  add_library(NCCL::nccl UNKNOWN IMPORTED)
  set_target_properties(NCCL::nccl PROPERTIES IMPORTED_LOCATION "${NCCL_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${NCCL_INCLUDE_DIR}")
endif()
mark_as_advanced(NCCL_INCLUDE_DIR NCCL_LIBRARY)
