/** What the tests of this and other modules share. */
package org.deft4j.autograd.testing;
