# Finds oneDNN (formerly DNNL, MKL-DNN) by its header and library and makes the target DNNL::dnnl.
# The package's own configuration file (2.6) demands OpenCL, which nothing here needs.
find_path(DNNL_INCLUDE_DIR dnnl.hpp)
find_library(DNNL_LIBRARY dnnl)

set(DNNL_VERSION "")
find_file(DNNL_VERSION_HEADER NAMES oneapi/dnnl/dnnl_version.h dnnl_version.h PATHS ${DNNL_INCLUDE_DIR})
if(DNNL_VERSION_HEADER)
  foreach(part MAJOR MINOR PATCH)
    file(STRINGS "${DNNL_VERSION_HEADER}" line REGEX "^#define DNNL_VERSION_${part} ")
    string(REGEX REPLACE "[^0-9]" "" digits "${line}")
    list(APPEND DNNL_VERSION_PARTS "${digits}")
  endforeach()
  list(JOIN DNNL_VERSION_PARTS "." DNNL_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(DNNL REQUIRED_VARS DNNL_LIBRARY DNNL_INCLUDE_DIR VERSION_VAR DNNL_VERSION
                                  REASON_FAILURE_MESSAGE "Install it with launch/install.sh, or: apt-get install libdnnl-dev")
if(DNNL_FOUND AND NOT TARGET DNNL::dnnl)
  add_library(DNNL::dnnl UNKNOWN IMPORTED)
  set_target_properties(DNNL::dnnl PROPERTIES IMPORTED_LOCATION "${DNNL_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${DNNL_INCLUDE_DIR}")
endif()
mark_as_advanced(DNNL_INCLUDE_DIR DNNL_LIBRARY DNNL_VERSION_HEADER)
