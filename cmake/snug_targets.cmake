set(SNUG_LIBRARIES "" CACHE INTERNAL "every library of the product, for libsnug.a")

# snug_library(name SOURCES ... [USES other snug libraries] [LINKS outside packages])
function(snug_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES;LINKS" ${ARGN})
  add_library(snug_${name} STATIC ${arg_SOURCES})
  target_include_directories(snug_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src
                                                 ${PROJECT_SOURCE_DIR})
  list(TRANSFORM arg_USES PREPEND snug_)
  target_link_libraries(snug_${name} PUBLIC ${arg_USES} PRIVATE ${arg_LINKS})
  set(SNUG_LIBRARIES ${SNUG_LIBRARIES} snug_${name} CACHE INTERNAL "")
endfunction()

# snug_test(name SOURCES ... USES ... [LABELS ...] [TIMEOUT s]): one GoogleTest program per directory of tests.
function(snug_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;USES;LINKS;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(test_${name} ${arg_SOURCES})
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  list(TRANSFORM arg_USES PREPEND snug_)
  target_link_libraries(test_${name} PRIVATE ${arg_USES} snug_source ${arg_LINKS} GTest::gtest_main)
  target_compile_definitions(test_${name} PRIVATE SNUG_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  gtest_discover_tests(test_${name} TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
                       PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}"
                                  ENVIRONMENT "SNUG_HOME=${PROJECT_BINARY_DIR}/test_home")
endfunction()

# snug_fuzzer(name SOURCES ... USES ...): a libFuzzer program fuzz_<name>, corpus in tests/fuzz/corpus/<name>.
function(snug_fuzzer name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES" ${ARGN})
  add_executable(fuzz_${name} ${arg_SOURCES})
  list(TRANSFORM arg_USES PREPEND snug_)
  target_link_libraries(fuzz_${name} PRIVATE ${arg_USES})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  if(NOT TARGET fuzzers)
    add_custom_target(fuzzers)
  endif()
  add_dependencies(fuzzers fuzz_${name})
endfunction()
