/** What the tests of every module share. */
package org.deft4j.tensor.testing;
